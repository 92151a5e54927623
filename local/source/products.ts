/** Generated products in the shape of DummyJSON's, the same bytes for the same index. */
import { base, en, Faker } from "@faker-js/faker";

const CATEGORIES = [
  "beauty",
  "fragrances",
  "furniture",
  "groceries",
  "kitchen-accessories",
  "laptops",
] as const;

/** The time of the first change; each product was changed a minute after the previous one. */
const FIRST_CHANGE = Date.UTC(2026, 0, 1);

/** Ways in which a product can break the rules of `pipelines/products.ts`. */
const FLAWS: readonly ((product: Record<string, unknown>) => unknown)[] = [
  (product) => ({ ...product, price: -1 }),
  (product) => ({ ...product, rating: 7.5 }),
  (product) => ({ ...product, availabilityStatus: "Gone" }),
  ({ title: _, ...product }) => product,
  (product) => ({ ...product, meta: { updatedAt: "yesterday" } }),
];

/** One shared faker: it is seeded before each product. */
let faker: Faker | undefined;

/** The product at `index` (from 0) as JSON; of the first n products, `Math.floor(n * bad)` break a rule. */
export function productJson(index: number, bad: number): string {
  const product = makeProduct(index);
  const before = Math.floor(index * bad);
  const isBad = Math.floor((index + 1) * bad) > before;
  return JSON.stringify(isBad ? FLAWS[before % FLAWS.length]!(product) : product);
}

function makeProduct(index: number): Record<string, unknown> {
  faker ??= new Faker({ locale: [en, base] });
  faker.seed(index);
  const { commerce, company, helpers, internet, lorem, number, person, string } = faker;
  const stock = number.int({ min: 0, max: 100 });
  const changed = new Date(FIRST_CHANGE + index * 60_000).toISOString();
  return {
    id: index + 1,
    title: commerce.productName(),
    description: commerce.productDescription(),
    category: helpers.arrayElement(CATEGORIES),
    price: number.float({ min: 1, max: 2000, fractionDigits: 2 }),
    rating: number.float({ min: 1, max: 5, fractionDigits: 2 }),
    stock,
    tags: helpers.arrayElements(["new", "sale", "eco", "imported"], { min: 0, max: 2 }),
    brand: company.name(),
    sku: string.alphanumeric({ length: 8, casing: "upper" }),
    dimensions: {
      width: number.float({ max: 30, fractionDigits: 2 }),
      height: number.float({ max: 30, fractionDigits: 2 }),
    },
    availabilityStatus: stock === 0 ? "Out of Stock" : stock < 10 ? "Low Stock" : "In Stock",
    reviews: [{
      rating: 5,
      comment: lorem.sentence(),
      reviewerName: person.fullName(),
      reviewerEmail: internet.email(),
    }],
    meta: { createdAt: changed, updatedAt: changed, barcode: string.numeric(13) },
  };
}
