import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { NoSpace, PermanentError, TransientError } from "../../errors/errors.ts";
import { needing, placeOf, SWIFT } from "../../../tests/support/needs.ts";
import {
  keysIn,
  putObject,
  readObject,
  type S3Server,
  startS3,
  uploadsIn,
} from "../../../tests/support/s3.ts";
import { answer, cut, type Fault, startS3Proxy } from "../../../tests/support/s3_proxy.ts";
import type { S3Patience } from "./client.ts";
import { S3Files } from "./files.ts";
import { STEP } from "./growing.ts";
import type { S3Place } from "./place.ts";

const test = needing(...SWIFT);
const isThere = SWIFT.every((program) => placeOf(program) !== undefined);

let server: S3Server;
Deno.test.beforeAll(async () => {
  if (isThere) server = await startS3();
});
Deno.test.afterAll(async () => {
  if (isThere) await server[Symbol.asyncDispose]();
});

const LARGE = `${"x".repeat(99)}\n`.repeat(180_000);
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
const QUICK: Partial<S3Patience> = { delayMs: 5, silenceMs: 5_000 };

/** Creates a bucket with the file `LARGE`, behind a proxy whose fault starts after the setup. */
async function stage(options: { conditional?: boolean; patience?: Partial<S3Patience> } = {}) {
  const place = await server.bucket();
  const proxy = startS3Proxy(place, options);
  const files = new S3Files(proxy.place, { ...QUICK, ...options.patience });
  const path = files.path("raw_users", "x.jsonl");
  await write(new S3Files(place), path, LARGE);
  proxy.requested.length = 0;
  return {
    place,
    proxy,
    files,
    path,
    other: files.path("raw_users", "y.jsonl"),
    [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose](),
  };
}

async function write(files: S3Files, path: string, text: string) {
  await using file = await files.create(path);
  await file.write(text);
  return await file.publish();
}

/** Applies the fault to the first `times` matching requests. */
function first(times: number, pattern: RegExp, fault: Fault): Fault {
  return (request, pass) => {
    const { pathname, search } = new URL(request.url);
    if (!pattern.test(`${request.method} ${pathname}${search}`) || times-- <= 0) return undefined;
    return fault(request, pass);
  };
}

const slowDown: Fault = async (request) => {
  await request.body?.cancel();
  return answer(503, "SlowDown", { "retry-after": "0" });
};
/** The server handles the request, and the response is lost. */
const lostAnswer: Fault = async (_, pass) => {
  await (await pass()).body?.cancel();
  return await cut(new Response("lost"), 0);
};
const never: Fault = ({ signal }) => {
  const { promise, resolve } = Promise.withResolvers<Response>();
  signal.addEventListener("abort", () => resolve(new Response()));
  return promise;
};

test("503 SlowDown is retried a few times at once, and then with the message", async () => {
  await using stand = await stage();
  const { proxy, files, path, other } = stand;
  proxy.fault = first(3, /./, slowDown);
  assert.equal((await files.facts(path)).sha256, sha256(LARGE));
  proxy.fault = first(4, /^PUT/, slowDown);
  assert.equal((await write(files, other, LARGE)).sha256, sha256(LARGE));
  proxy.fault = slowDown;
  for (
    const failing of [() => files.facts(path), () => files.exists(path), () => write(files, other, "more\n")]
  ) {
    await assert.rejects(failing(), (error: unknown) => {
      assert.ok(error instanceof TransientError, String(error));
      assert.match(
        error.message,
        /^Cannot \w+( at)? data\/raw_users\/[xy]\.jsonl in the store .*: it answers 503( SlowDown)?\. It will be retried/,
      );
      return true;
    });
  }
});

test("an interrupted read continues at that byte, and the content is complete", async () => {
  await using stand = await stage();
  const { proxy, files, path } = stand;
  proxy.fault = first(3, /^GET/, async (_, pass) => await cut(await pass(), 3_000_000));
  const ranges: (string | null)[] = [];
  const { fault } = proxy;
  proxy.fault = (request, pass) => {
    ranges.push(request.headers.get("range"));
    return fault(request, pass);
  };
  assert.deepEqual(await files.facts(path), { name: path, bytes: LARGE.length, sha256: sha256(LARGE) });
  assert.equal(ranges.length, 4);
  assert.equal(ranges[0], null);
  const starts = ranges.slice(1).map((range) => Number(/^bytes=(\d+)-$/.exec(range!)![1]));
  assert.ok(starts[0]! > 0 && starts[0]! <= 3_000_000 && starts[1]! > starts[0]!, `${starts}`);
});

test("a store that sends the whole file instead of its rest is never read as one file", async () => {
  await using stand = await stage();
  const { proxy, files, path } = stand;
  let whole = new Response();
  proxy.fault = first(2, /^GET/, async (request, pass) => {
    if (request.headers.has("range")) return whole;
    const answered = await pass();
    whole = answered.clone();
    return await cut(answered, 3_000_000);
  });
  await assert.rejects(
    files.facts(path),
    (error: unknown) =>
      error instanceof TransientError && /broke off at byte \d+, and the store can't/.test(error.message),
  );
  assert.equal((await files.facts(path)).sha256, sha256(LARGE));
});

test("a file replaced while it is read is never read as one file", async () => {
  await using stand = await stage();
  const { proxy, files, path, place } = stand;
  proxy.fault = first(1, /^GET/, async (_, pass) => {
    const answered = await pass();
    await putObject(place, `etl/${path}`, LARGE.toUpperCase());
    return await cut(answered, 3_000_000);
  });
  await assert.rejects(files.facts(path), /the name is taken, or the object was replaced/);
});

test("a slow but steady connection is waited for, however long the transfer takes", async () => {
  await using stand = await stage({ patience: { silenceMs: 1_500 } });
  const { proxy, files, path } = stand;
  let began = 0;
  proxy.fault = first(1, /^GET/, async (_, pass) => {
    const answered = await pass();
    const bytes = new Uint8Array(await answered.arrayBuffer());
    began = performance.now();
    let at = 0;
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        controller.enqueue(bytes.slice(at, at += 600_000));
        if (at >= bytes.length) controller.close();
      },
    });
    return new Response(body, { headers: answered.headers });
  });
  assert.equal((await files.facts(path)).sha256, sha256(LARGE));
  assert.ok(performance.now() - began > 2_000, "it took longer than the store may be silent");
  assert.equal(proxy.requested.length, 1);
});

test("a silent store fails each request in bounded time", async () => {
  await using stand = await stage({ patience: { silenceMs: 150, tries: 2 } });
  const { proxy, files, path, other } = stand;
  const frozen: Fault = async (request, pass) =>
    request.method === "GET" ? await cut(await pass(), 0, { frozen: true }) : await never(request, pass)!;
  proxy.fault = frozen;
  for (
    const failing of [
      () => files.facts(path),
      () => files.exists(path),
      () => write(files, other, "x\n"),
      () => write(files, other, LARGE),
    ]
  ) {
    const began = performance.now();
    await assert.rejects(failing(), (error: unknown) => {
      assert.ok(error instanceof TransientError, String(error));
      assert.match(error.message, /no answer for/);
      return true;
    });
    assert.ok(performance.now() - began < 5_000);
  }
});

test("data damaged in transit is refused by the store, and sent again", async () => {
  await using stand = await stage();
  const { proxy, files, other } = stand;
  let refused = 0;
  proxy.fault = first(2, /^PUT .*(partNumber|y\.jsonl)/, async (request, pass) => {
    const bytes = await request.bytes();
    bytes[0]! ^= 1;
    const answered = await pass(bytes);
    if (answered.status === 400) refused += 1;
    return answered;
  });
  assert.equal((await write(files, other, LARGE)).sha256, sha256(LARGE));
  assert.equal(refused, 2);
  assert.equal((await files.facts(other)).sha256, sha256(LARGE));
});

for (const conditional of [false, true]) {
  const name = conditional ? "with If-None-Match" : "without If-None-Match";
  test(`a file whose reply was lost is published once, ${name}`, async () => {
    await using stand = await stage({ conditional });
    const { proxy, files, other, place } = stand;
    for (const text of ["small\n", LARGE]) {
      proxy.fault = first(1, /^(PUT .*y\.jsonl$|POST .*y\.jsonl\?uploadId)/, lostAnswer);
      assert.deepEqual(await write(files, other, text), {
        name: other,
        bytes: text.length,
        sha256: sha256(text),
      });
      assert.equal(await readObject(place, `etl/${other}`), text);
      await files.remove(other);
    }
    assert.deepEqual(await uploadsIn(place), []);
  });
}

test("an error after the reply has begun is an error", async () => {
  await using stand = await stage();
  const { proxy, files, other } = stand;
  proxy.fault = first(1, /^POST .*uploadId/, async (request) => {
    await request.body?.cancel();
    return answer(200, "InternalError");
  });
  assert.equal((await write(files, other, LARGE)).sha256, sha256(LARGE));
  assert.equal(proxy.requested.filter((requested) => /^POST .*uploadId/.test(requested)).length, 2);
});

test("a full store is waited for", async () => {
  await using stand = await stage();
  const { proxy, files, other } = stand;
  proxy.fault = async (request) => {
    await request.body?.cancel();
    return answer(507, "InsufficientStorage");
  };
  await assert.rejects(write(files, other, "x\n"), NoSpace);
});

test("a configuration error is permanent, and names the variable to correct", async () => {
  const place = await server.bucket();
  const cases: [Partial<S3Place>, RegExp][] = [
    [{ secretAccessKey: "another" }, /Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY/],
    [{ accessKeyId: "another" }, /AWS_ACCESS_KEY_ID/],
    [{ bucket: "missing" }, /there is no bucket "missing"\. Make it, or correct FILES_URL/],
    [{ region: "mars-north-1" }, /Correct S3_REGION/],
  ];
  for (const [change, wanted] of cases) {
    const files = new S3Files({ ...place, ...change }, QUICK);
    const path = files.path("raw_users", "x.jsonl");
    const looks = [
      () => files.facts(path),
      () => write(files, path, "x\n"),
      ...change.bucket ? [] : [() => files.exists(path)],
    ];
    for (const failing of looks) {
      await assert.rejects(failing(), (error: unknown) => {
        assert.ok(error instanceof PermanentError, String(error));
        assert.match(error.message, wanted);
        assert.ok(!error.message.includes("another") && !error.message.includes(place.secretAccessKey));
        return true;
      });
    }
  }
});

test("the token of temporary credentials is sent with each request, and never shown", async () => {
  await using stand = await stage();
  const { proxy, other } = stand;
  const files = new S3Files({ ...proxy.place, sessionToken: "the-token" }, QUICK);
  const sent: boolean[] = [];
  proxy.fault = ({ headers }) => {
    const isSigned = /SignedHeaders=[^,]*x-amz-security-token/.test(headers.get("authorization")!);
    sent.push(headers.get("x-amz-security-token") === "the-token" && isSigned);
    return undefined;
  };
  await write(files, other, LARGE);
  assert.equal((await files.facts(other)).sha256, sha256(LARGE));
  assert.ok(sent.length > 3 && sent.every(Boolean));
  for (
    const [code, wanted] of [["ExpiredToken", /have expired\. Renew/], [
      "InvalidToken",
      /Correct AWS_SESSION_TOKEN/,
    ]] as const
  ) {
    proxy.fault = async (request) => {
      await request.body?.cancel();
      return answer(400, code);
    };
    for (
      const failing of [
        () => files.facts(other),
        () => files.exists(other),
        () => write(files, "data/raw_users/z.jsonl", "z\n"),
      ]
    ) {
      await assert.rejects(failing(), (error: unknown) => {
        assert.ok(error instanceof PermanentError, String(error));
        assert.match(error.message, wanted);
        assert.ok(!error.message.includes("the-token"));
        return true;
      });
    }
  }
});

test("a wrong clock is permanent, and the message shows both times", async () => {
  const place = await server.bucket();
  const files = new S3Files(place, QUICK);
  const { Date: Right } = globalThis;
  class Ahead extends Right {
    constructor(...given: unknown[]) {
      super(...(given.length === 0 ? [Right.now() + 3_600_000] : given) as [number]);
    }
  }
  try {
    globalThis.Date = Ahead as DateConstructor;
    await assert.rejects(files.facts(files.path("raw_users", "x.jsonl")), (error: unknown) => {
      assert.ok(error instanceof PermanentError, String(error));
      assert.match(
        error.message,
        /the clocks are too far apart: the store's says .* GMT, this machine's .* GMT\./,
      );
      return true;
    });
  } finally {
    globalThis.Date = Right;
  }
});

test("an unreachable server is waited for, and one that comes back during an upload gets the file", async () => {
  await using own = await startS3();
  const files = new S3Files(await own.bucket(), { tries: 12, delayMs: 100 });
  const path = files.path("raw_users", "x.jsonl");
  await using file = await files.create(path, { resumable: true });
  await file.write(LARGE);
  await own.kill();
  const impatient = new S3Files(await server.bucket(), { tries: 1 });
  assert.equal(await impatient.exists(path), false);
  const more = file.write(LARGE);
  await own.start();
  await more;
  assert.equal((await file.publish()).sha256, sha256(LARGE + LARGE));
  assert.equal((await files.facts(path)).sha256, sha256(LARGE + LARGE));
});

test("an address without a listener is a transient failure", async () => {
  const files = new S3Files({ ...await server.bucket(), endpoint: "http://127.0.0.1:9" }, {
    tries: 2,
    delayMs: 5,
  });
  await assert.rejects(files.facts(files.path("raw_users", "x.jsonl")), (error: unknown) => {
    assert.ok(error instanceof TransientError);
    assert.match(error.message, /the store 127\.0\.0\.1:9 can't be reached/);
    return true;
  });
});

test("abandoned uploads are removed after a day, steps of a raw file after a week, and nothing else is removed", async () => {
  await using stand = await stage();
  const { files, place, path, other } = stand;
  const { signal } = new AbortController();
  const whole = await keysIn(place);
  await files.documents.write("transformed/x.part/note.json", "{}");
  const abandoned = await files.create(other, { resumable: true }); // the process dies here
  await abandoned.write(LARGE);
  await abandoned.sync();
  const parts = async () => (await keysIn(place)).filter((key) => key.includes("y.jsonl.part/")).length;
  while (await parts() < 3 || (await uploadsIn(place)).length < 1) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const day = 24 * 3_600_000;
  assert.equal(await files.removeAbandoned(signal), 0);
  assert.equal(await files.removeAbandoned(signal, Date.now() + day + 60_000), 1);
  assert.deepEqual([await uploadsIn(place), await parts()], [[], 3]);
  assert.equal(await files.removeAbandoned(signal, Date.now() + 7 * day + 60_000), 4);
  assert.deepEqual((await keysIn(place)).filter((key) => !key.includes("/state/")), whole);
  assert.equal(await files.documents.read("transformed/x.part/note.json"), "{}");
  assert.equal((await files.facts(path)).bytes, LARGE.length);
  assert.ok(LARGE.length > 3 * STEP);
  await assert.rejects(abandoned.publish(), Error);
  await abandoned[Symbol.asyncDispose]();
});
