import { z } from "zod";
import { env, integer, pipeline } from "etl";

export default pipeline({
  name: "products",
  schedule: env("PRODUCTS_SCHEDULE", "off"),
  record: z.object({
    id: integer,
    title: z.string().min(1),
    category: z.string().min(1),
    price: z.number().min(0),
    rating: z.number().min(0).max(5),
    stock: integer.min(0),
    sku: z.string().min(1),
    availabilityStatus: z.enum(["In Stock", "Low Stock", "Out of Stock"]),
    meta: z.object({ updatedAt: z.iso.datetime() }),
    reviews: z.unknown().optional(),
  }),
  key: "id",
  source: {
    url: env("PRODUCTS_URL", "https://dummyjson.com/products"),
    records: "products",
    paging: { by: "offset", offset: "skip", limit: "limit", size: 100, total: "total" },
  },
  mask: ["reviews"],
  load: "upsert",
});
