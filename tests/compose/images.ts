/**
 * For the compose test alone: the images that Dockerfile and compose files ask for, from the registry, or else stand-ins.
 *
 * @module
 */
import { run } from "./run.ts";
import { IMAGES, makeStandIns } from "./stand_ins.ts";

/** Sees to it that the images are there. Disposing of the answer removes those that were made here. Says which those are. */
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
