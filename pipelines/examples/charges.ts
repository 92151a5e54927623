// The last record's id asks for the next page: https://docs.stripe.com/api/pagination
import { z } from "zod";
import { integer, pipeline, secret } from "etl";

export default pipeline({
  name: "charges",
  schedule: "5 * * * *",
  record: z.object({
    id: z.string().regex(/^ch_/, "not a charge's id"),
    amount: integer.min(0),
    currency: z.string().length(3),
    status: z.enum(["succeeded", "pending", "failed"]),
    paid: z.boolean(),
    created: integer.min(0),
    billing_details: z.object({
      email: z.email().nullable(),
      name: z.string().nullable(),
      phone: z.unknown().optional(),
    }),
  }),
  key: "id",
  source: {
    url: "https://api.stripe.com/v1/charges",
    query: { limit: 100 },
    auth: { bearer: secret("STRIPE_API_KEY") },
    records: "data",
    paging: { by: "last", param: "starting_after", field: "id", more: "has_more" },
    since: { field: "created", from: 1_767_225_600, send: { "created[gte]": "{}" }, overlap: "1d" },
  },
  mask: ["billing_details.email", "billing_details.name", "billing_details.phone"],
  hold: { invalid: "5%" },
  load: "upsert",
});
