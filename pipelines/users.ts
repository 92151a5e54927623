import * as z from "zod";
import { env, integer, pipeline } from "etl";

const filled = z.string().regex(/\S/, "empty");
const masked = z.unknown().optional();

export default pipeline({
  name: "users",
  schedule: env("SCHEDULE", "0 3 * * *"),
  record: z.object({
    id: integer,
    firstName: filled,
    email: z.email(),
    age: z.number().min(18).max(65),
    company: z.object({ department: filled }),
    password: masked,
    ssn: masked,
    ein: masked,
    bank: z.object({ cardNumber: masked, cardExpire: masked, iban: masked }).optional(),
    crypto: z.object({ wallet: masked }).optional(),
    macAddress: masked,
  }),
  key: "id",
  source: {
    url: env("API_BASE_URL", "https://dummyjson.com/users"),
    records: "users",
    paging: { by: "offset", offset: "skip", limit: "limit", size: env("BATCH_SIZE", 100), total: "total" },
  },
  add: {
    department_code: {
      lookup: env("LOOKUP_FILE", "departments.csv"),
      key: "department_name",
      value: "department_code",
      by: "company.department",
      otherwise: "UNKNOWN",
    },
  },
  mask: [
    "password",
    "ssn",
    "ein",
    "bank.cardNumber",
    "bank.cardExpire",
    "bank.iban",
    "crypto.wallet",
    "macAddress",
  ],
  load: "snapshot",
  deliver: { to: "sftp", folder: "." },
});
