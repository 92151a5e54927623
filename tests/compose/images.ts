/**
 * Provides the images of the compose test, from the registry or as stand-ins.
 *
 * @module
 */
import { run } from "./run.ts";
import { IMAGES, makeStandIns } from "./stand_ins.ts";

/** Pulls or builds the images, and reports which ones were built. Disposing of the result removes those. */
export async function provideImages(images = IMAGES): Promise<AsyncDisposable> {
  const missing: string[] = [];
  for (const image of images) {
    const there = await run("docker", "image", "inspect", image).catch(() =>
      run("docker", "pull", "--quiet", image)
    ).then(() => true, () => false);
    if (!there) missing.push(image);
  }
  if (missing.length > 0) {
    await Deno.stdout.write(
      new TextEncoder().encode(
        `No registry can be reached: ${missing.join(", ")} are made from this machine's programs.\n`,
      ),
    );
    await makeStandIns(missing);
  }
  return {
    async [Symbol.asyncDispose]() {
      if (missing.length > 0) await run("docker", "image", "rm", "--force", ...missing);
    },
  };
}
