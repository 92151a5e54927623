/** The location of files in an S3-compatible store. */

/** A bucket and its credentials. Plain data, so that it can be passed to another thread. */
export interface S3Place {
  readonly bucket: string;
  /** Prefix of all keys, without a slash at its end; empty for none. */
  readonly prefix: string;
  /** The store's address, such as `https://s3.eu-west-1.amazonaws.com`. */
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** The token that belongs to a temporary access key. */
  readonly sessionToken?: string | undefined;
  /** Whether the bucket is in the path (`https://host/bucket/key`) instead of in the host's name. */
  readonly pathStyle: boolean;
}

/** The base URL of a bucket's keys. */
export function addressOf({ endpoint, bucket, pathStyle }: S3Place): URL {
  const url = new URL(endpoint);
  if (pathStyle) url.pathname = `${url.pathname.replace(/\/$/, "")}/${bucket}`;
  else url.hostname = `${bucket}.${url.hostname}`;
  return url;
}
