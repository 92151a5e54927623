/** An upload in parts: the object doesn't exist until the upload is completed. */
import { TransientError } from "../../errors/errors.ts";
import type { FileFacts } from "../files.ts";
import { IF_NEW, type S3Client, sha256Of, valueIn } from "./client.ts";
import { Absent, NotImplemented } from "./failure.ts";

export class Upload {
  /** The ETags of the parts, by their numbers. */
  readonly #tags = new Map<number, string>();

  private constructor(
    private readonly client: S3Client,
    private readonly path: string,
    private readonly key: string,
    private readonly uploadId: string,
  ) {}

  static async begin(client: S3Client, path: string, key: string): Promise<Upload> {
    const { text } = await client.ask({
      action: "write",
      path,
      method: "POST",
      key,
      query: { uploads: "" },
      headers: { "content-type": "application/octet-stream" },
    });
    return new Upload(client, path, key, valueIn(text, "UploadId") ?? "");
  }

  /** Sends part `n`, from 1. */
  async put(n: number, body: Uint8Array): Promise<void> {
    const { headers } = await this.client.ask({ ...this.#part(n), body, sha256: sha256Of(body) });
    this.#tags.set(n, headers.get("etag") ?? "");
  }

  /** Completes the object; with `isNew`, only if its key is free, if the store supports the condition. @throws Taken if it isn't. */
  async complete({ bytes, name }: FileFacts, isNew: boolean): Promise<void> {
    const parts = [...this.#tags].sort(([a], [b]) => a - b).map(([n, tag]) =>
      `<Part><PartNumber>${n}</PartNumber><ETag>${tag.replaceAll('"', "&quot;")}</ETag></Part>`
    );
    const body = new TextEncoder().encode(
      `<CompleteMultipartUpload>${parts.join("")}</CompleteMultipartUpload>`,
    );
    const request = { ...this.#whole("POST"), body, sha256: sha256Of(body) };
    const complete = (headers: Record<string, string>) =>
      this.client.ask({ ...request, headers: { "content-type": "application/xml", ...headers } });
    if (!isNew || !await this.client.isConditional()) await complete({});
    else {
      await complete(IF_NEW).catch((error) => {
        if (error instanceof NotImplemented) return complete({}); // the store supports the condition only for small objects
        throw error;
      });
    }
    const length = Number(
      (await this.client.head({ action: "publish", path: name }, this.key))?.get("content-length"),
    );
    if (length === bytes) return;
    throw new TransientError(
      `Cannot publish ${name}: ${bytes} bytes were sent, but the store has ${length}. It will be retried.`,
    );
  }

  /** Aborts the upload: the store removes its parts. */
  async abort(): Promise<void> {
    await this.client.ask(this.#whole("DELETE")).catch((error) => {
      if (!(error instanceof Absent)) throw error;
    });
  }

  #whole<M extends "POST" | "DELETE">(method: M) {
    return {
      action: "write",
      path: this.path,
      method,
      key: this.key,
      query: { uploadId: this.uploadId },
    } as const;
  }

  #part(n: number) {
    const query = { partNumber: `${n}`, uploadId: this.uploadId };
    return { action: "write", path: this.path, method: "PUT", key: this.key, query } as const;
  }
}
