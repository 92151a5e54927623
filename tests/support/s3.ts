/**
 * A real S3 server of one's own, on a free port, with its objects in a folder of its own: OpenStack Swift with its `s3api`.
 *
 * What it does otherwise than AWS: it answers 501 to `If-None-Match: *` (see s3_proxy.ts), and the ETag of an upload in parts is no MD5.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { AwsClient } from "aws4fetch";
import type { S3Place } from "../../shared/files/s3/place.ts";
import { freePort } from "./free_port.ts";
import { commandOn, HERE, type Host } from "./host.ts";
import { SWIFT, used } from "./needs.ts";
import { followLog } from "./output.ts";

/** A running server. Disposing of it ends the server and removes its objects. */
export interface S3Server extends AsyncDisposable {
  readonly port: number;
  /** A bucket of one's own, new at each call. */
  bucket(): Promise<S3Place>;
  /** The same bucket as somebody sees it who may read it, and nothing else. */
  readOnly(place: S3Place): Promise<S3Place>;
  /** Ends the server at once, as a power cut would (SIGKILL). */
  kill(): Promise<void>;
  /** Starts it again with what is on its disk; resolves when it answers. */
  start(): Promise<void>;
}

const ACCESS = { accessKeyId: "test-key", secretAccessKey: "test-secret", region: "us-east-1" };

export async function startS3(host = HERE): Promise<S3Server> {
  for (const program of SWIFT) used(program);
  const folder = await Deno.makeTempDir({ prefix: "s3-" });
  for (let tries = 1;; tries += 1) {
    const server = new Server(folder, freePort(), host);
    try {
      await server.start();
      return server;
    } catch (error) {
      // Somebody else may have taken the port meanwhile.
      if (tries === 3) throw error;
    }
  }
}

/** The keys in a bucket, or those below `prefix`, sorted. */
export async function keysIn(place: S3Place, prefix = ""): Promise<string[]> {
  const text = await ask(place, "GET", `?list-type=2&prefix=${encodeURIComponent(prefix)}`);
  return [...text.matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key]) => key!).sort();
}

/** The unfinished uploads in a bucket. */
export async function uploadsIn(place: S3Place): Promise<string[]> {
  return [...(await ask(place, "GET", "?uploads=")).matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key]) => key!);
}

/** Puts an object behind the adapter's back. */
export async function putObject(place: S3Place, key: string, text: string): Promise<void> {
  await ask(place, "PUT", `/${key}`, text);
}

/** Makes the bucket of a place. */
export async function makeBucket(place: S3Place): Promise<void> {
  await ask(place, "PUT", "");
}

/** The text of an object. */
export function readObject(place: S3Place, key: string): Promise<string> {
  return ask(place, "GET", `/${key}`);
}

async function ask(
  { endpoint, bucket, ...access }: S3Place,
  method: string,
  rest: string,
  body?: string,
  headers: Record<string, string> = {},
) {
  const client = new AwsClient({ ...access, service: "s3", retries: 0 });
  const init = body === undefined ? { method, headers } : { method, headers, body };
  const response = await client.fetch(`${endpoint}/${bucket}${rest}`, init);
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${bucket}${rest}: ${response.status} ${text}`);
  return text;
}

class Server implements S3Server {
  #process: Deno.ChildProcess | undefined;
  #output: Promise<void> = Promise.resolve();
  #buckets = 0;

  constructor(private readonly folder: string, readonly port: number, private readonly host: Host) {}

  async start(): Promise<void> {
    const script = fileURLToPath(new URL("./s3_server.py", import.meta.url));
    const { accessKeyId, secretAccessKey, region } = ACCESS;
    const process = commandOn(this.host, "/usr/bin/python3", {
      args: [
        "-B",
        script,
        this.folder,
        this.host.address,
        String(this.port),
        accessKeyId,
        secretAccessKey,
        region,
      ],
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#process = process;
    const ready = Promise.withResolvers<void>();
    this.#output = followLog("S3 server", process.stdout, "ready", ready);
    await ready.promise;
  }

  async bucket(): Promise<S3Place> {
    const bucket = `bucket-${++this.#buckets}`;
    const endpoint = `http://${this.host.address}:${this.port}`;
    const place = { ...ACCESS, bucket, prefix: "etl", endpoint, pathStyle: true };
    await makeBucket(place);
    return place;
  }

  async readOnly(place: S3Place): Promise<S3Place> {
    await ask(place, "PUT", "?acl", undefined, { "x-amz-acl": "public-read" });
    return { ...place, accessKeyId: `${place.accessKeyId}-reader` };
  }

  async kill(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    if (process === undefined) return;
    process.kill("SIGKILL");
    await process.status;
    await this.#output;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await Deno.remove(this.folder, { recursive: true });
  }
}
