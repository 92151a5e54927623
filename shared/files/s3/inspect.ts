/** Checks a bucket, for `deno task doctor`. */
import { S3Client } from "./client.ts";
import { S3Files } from "./files.ts";
import { addressOf, type S3Place } from "./place.ts";

/**
 * Writes, reads, lists and removes a small object; returns a description of the store.
 *
 * @throws PermanentError saying what must be corrected, TransientError if the store can't be reached.
 */
export async function inspectBucket(place: S3Place): Promise<string> {
  const { documents } = new S3Files(place);
  const name = `doctor/${crypto.randomUUID()}`;
  await documents.write(name, name);
  try {
    if (await documents.read(name) !== name) {
      throw new Error(`${documents.placeOf(name)} isn't what was written.`);
    }
    await Array.fromAsync(documents.list("doctor"));
  } finally {
    await documents.remove(name);
  }
  const condition = await new S3Client(place).isConditional()
    ? "If-None-Match"
    : "no If-None-Match: locks and leases alone keep a second writer away";
  return `s3://${place.bucket}/${place.prefix} at ${
    addressOf(place).host
  }, read, write, list and remove, ${condition}`;
}
