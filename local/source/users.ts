/** Generated users in the shape of DummyJSON's, the same bytes for the same index and seed. */
import { base, en, Faker } from "@faker-js/faker";
import { type Flaw, flawed, FLAWS } from "./flaws.ts";

export const DEPARTMENTS: readonly string[] = [
  "Marketing",
  "Legal",
  "Research and Development",
  "Support",
  "Engineering",
  "Human Resources",
  "Services",
  "Accounting",
  "Product Management",
  "Sales",
  "Training",
  "Business Development",
];

/** Number of users with different content; beyond that, only id, e-mail address, user name and image differ. */
const POOL = 2_000;

/** A placeholder for the user's id in a text. */
const ID_MARK = "{id}";

/** All users of a source, generated on demand. */
export class Users {
  // position in the pool -> text around the placeholders of the id
  readonly #pool = new Map<number, readonly string[]>();

  /**
   * Generates nothing yet.
   *
   * @param bad share of users, 0 to 1, that break a rule: spread evenly, cycling through `FLAWS`
   * @param seed another seed gives other users
   */
  constructor(private readonly bad: number, private readonly seed: number) {}

  /** The user at `index` (from 0) as JSON; its id is `index + 1`. */
  json(index: number): string {
    const flaw = this.flawAt(index);
    const text = this.#template(index % POOL).join(String(index + 1));
    return flaw === undefined ? text : flawed(text, flaw);
  }

  /**
   * The flaw of the user at `index`; undefined for a valid one. Of the first n users, `Math.floor(n * bad)` have one.
   */
  flawAt(index: number): Flaw | undefined {
    const before = Math.floor(index * this.bad);
    return Math.floor((index + 1) * this.bad) > before ? FLAWS[before % FLAWS.length] : undefined;
  }

  #template(position: number): readonly string[] {
    let template = this.#pool.get(position);
    if (template === undefined) {
      template = JSON.stringify(makeUser(this.seed * POOL + position)).replace(`"id":0`, `"id":${ID_MARK}`)
        .split(ID_MARK);
      this.#pool.set(position, template);
    }
    return template;
  }
}

/** One shared faker: it is seeded before each user, as creating one costs more than a user does. */
let faker: Faker | undefined;

function makeUser(seed: number): Record<string, unknown> {
  faker ??= new Faker({ locale: [en, base] });
  faker.seed(seed);
  const { number, helpers, person, internet, location, finance, company, string } = faker;
  const sex = helpers.arrayElement(["female", "male"] as const);
  const firstName = person.firstName(sex);
  const lastName = person.lastName(sex);
  const username = `${letters(firstName)}${letters(lastName).slice(0, 1)}${ID_MARK}`;
  const age = number.int({ min: 23, max: 46 });
  const address = () => ({
    address: location.streetAddress(),
    city: location.city(),
    state: location.state(),
    stateCode: location.state({ abbreviated: true }),
    postalCode: location.zipCode("#####"),
    coordinates: { lat: location.latitude(), lng: location.longitude() },
    country: "United States",
  });
  return {
    id: 0,
    firstName,
    lastName,
    maidenName: sex === "female" ? person.lastName() : "",
    age,
    gender: sex,
    email: `${letters(firstName)}.${letters(lastName)}.${ID_MARK}@x.dummyjson.com`,
    phone: `+${number.int({ min: 1, max: 99 })} ${string.numeric(3)}-${string.numeric(3)}-${
      string.numeric(4)
    }`,
    username,
    password: `${letters(firstName)}pass`,
    birthDate: `${2026 - age}-${number.int({ min: 1, max: 12 })}-${number.int({ min: 1, max: 28 })}`,
    image: `https://dummyjson.com/icon/${username}/128`,
    bloodGroup: helpers.arrayElement(["A+", "A-", "B+", "B-", "AB+", "AB-", "O+", "O-"]),
    height: number.float({ min: 150, max: 200, fractionDigits: 2 }),
    weight: number.float({ min: 50, max: 100, fractionDigits: 2 }),
    eyeColor: helpers.arrayElement(["Brown", "Blue", "Green", "Amber", "Gray", "Hazel"]),
    hair: {
      color: helpers.arrayElement(["Brown", "Black", "Blonde", "Red", "Gray", "White"]),
      type: helpers.arrayElement(["Curly", "Straight", "Wavy", "Kinky"]),
    },
    ip: internet.ipv4(),
    address: address(),
    macAddress: internet.mac(),
    university: `University of ${location.state()}--${location.city()}`,
    bank: {
      cardExpire: `${String(number.int({ min: 1, max: 12 })).padStart(2, "0")}/${
        number.int({ min: 26, max: 31 })
      }`,
      cardNumber: string.numeric(16),
      cardType: helpers.arrayElement([
        "Visa",
        "Mastercard",
        "Maestro",
        "Discover",
        "Diners Club International",
      ]),
      currency: finance.currencyCode(),
      iban: finance.iban(),
    },
    company: {
      department: helpers.arrayElement(DEPARTMENTS),
      name: company.name(),
      title: person.jobTitle(),
      address: address(),
    },
    ein: `${string.numeric(3)}-${string.numeric(3)}`,
    ssn: `${string.numeric(3)}-${string.numeric(3)}-${string.numeric(3)}`,
    userAgent: internet.userAgent(),
    crypto: {
      coin: helpers.arrayElement(["Bitcoin", "Ethereum", "Litecoin"]),
      wallet: finance.ethereumAddress(),
      network: "Ethereum (ERC-20)",
    },
    role: helpers.weightedArrayElement([
      { weight: 85, value: "user" },
      { weight: 10, value: "moderator" },
      { weight: 5, value: "admin" },
    ]),
  };
}

function letters(name: string): string {
  return name.toLowerCase().replace(/[^a-z]/g, "");
}
