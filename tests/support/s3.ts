/**
 * A separate, real S3 server on a free port, with its objects in a temporary folder: OpenStack Swift with its
 * `s3api`.
 *
 * Unlike AWS, it responds with 501 to `If-None-Match: *` (see s3_proxy.ts), and the ETag of a multipart
 * upload isn't an MD5.
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
  /** Creates a new bucket. */
  bucket(): Promise<S3Place>;
  /** Returns the same bucket for a user who can only read it. */
  readOnly(place: S3Place): Promise<S3Place>;
  /** Kills the server, as a power cut would (SIGKILL). */
  kill(): Promise<void>;
  /** Restarts it with the content of its disk; resolves once it responds. */
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
      // Another program may have taken the port in the meantime.
      if (tries === 3) throw error;
    }
  }
}

/** Returns the variables of services that keep their files there. */
export function variablesOf(place: S3Place) {
  return {
    FILES_URL: `s3://${place.bucket}/${place.prefix}`,
    S3_ENDPOINT: place.endpoint,
    AWS_ACCESS_KEY_ID: place.accessKeyId,
    AWS_SECRET_ACCESS_KEY: place.secretAccessKey,
  };
}

/** Returns the keys in a bucket that start with `prefix`, sorted. */
export async function keysIn(place: S3Place, prefix = ""): Promise<string[]> {
  const text = await ask(place, "GET", `?list-type=2&prefix=${encodeURIComponent(prefix)}`);
  return [...text.matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key]) => key!).sort();
}

/** Returns the unfinished uploads in a bucket. */
export async function uploadsIn(place: S3Place): Promise<string[]> {
  return [...(await ask(place, "GET", "?uploads=")).matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key]) => key!);
}

/** Puts an object without the adapter. */
export async function putObject(place: S3Place, key: string, text: string): Promise<void> {
  await ask(place, "PUT", `/${key}`, text);
}

/** Creates the bucket of a place. */
export async function makeBucket(place: S3Place): Promise<void> {
  await ask(place, "PUT", "");
}

/** Returns the text of an object. */
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
