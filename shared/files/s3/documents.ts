/** Small texts in the store. */
import type { Documents } from "../documents.ts";
import type { S3Client } from "./client.ts";

/** Documents below a prefix of the bucket. */
export class S3Documents implements Documents {
  constructor(private readonly client: S3Client, private readonly prefix: string) {}

  placeOf(name: string): string {
    return `s3://${this.client.place.bucket}/${this.prefix}/${name}`;
  }

  async read(name: string): Promise<string | undefined> {
    return await this.client.text(this.#subject("read", name), this.#key(name));
  }

  async write(name: string, text: string): Promise<void> {
    await this.client.put(this.#subject("write", name), this.#key(name), new TextEncoder().encode(text));
  }

  async remove(name: string): Promise<void> {
    await this.client.remove(this.#subject("remove", name), this.#key(name));
  }

  async *list(folder: string): AsyncGenerator<string> {
    const listed = this.client.list(this.#subject("list", folder), `${this.#key(folder)}/`);
    for await (const { key } of listed) yield key.slice(this.prefix.length + 1);
  }

  #key(name: string): string {
    return `${this.prefix}/${name}`;
  }

  #subject(action: string, name: string) {
    return { action, path: this.placeOf(name) };
  }
}
