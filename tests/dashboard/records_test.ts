import assert from "node:assert/strict";
import { browsing, picture, shows } from "../api/browser.ts";
import { press, startSite, type, visit } from "./site.ts";
import { violations } from "./axe.ts";

const test = browsing();

/** Changes a user of the sample source. */
type Edit = (user: Record<string, unknown>) => Record<string, unknown>;

test("people see what a run added, changed and removed, find a record, and read its whole history; in a terminal too", async (t) => {
  let edit: Edit = (user) => user;
  await using site = await startSite({
    users: 120,
    bad: 0,
    wrap: (answer) => async (request) => {
      const page = await (await answer(request)).json() as { users: Record<string, unknown>[] };
      return Response.json({ ...page, users: page.users.map((user) => edit(user)) });
    },
  });
  const { pipeline } = site;
  await pipeline.completed(await pipeline.tell());
  edit = (user) => {
    if (user.id === 3) return { ...user, id: 1003 };
    if (user.id === 4) {
      return { ...user, firstName: "Zoe", password: "changed", company: { department: "Sales" } };
    }
    return user.id === 105 ? { ...user, age: 70 } : user;
  };
  const second = await pipeline.completed(await pipeline.tell());
  assert.deepEqual([second.valid_count, second.invalid_count], [119, 1]);

  await t.step(
    "a run's changes expand field by field, masked",
    () =>
      visit(site, `/runs/${second.run_id}`, async ({ page }) => {
        await shows(page, "1 added");
        await shows(page, "1 removed");
        await press(page, "1 changed");
        for (const text of ["firstName", "Zoe", "company.department", "Sales", "password", "***"]) {
          await shows(page, text);
        }
        assert.ok(!(await page.content()).includes(">changed<"));
        await picture(page, "run_changes");
        assert.deepEqual(await violations(page), []);
        await press(page, "1 removed");
        await press(page, "Open record 3", "link");
        await shows(page, "The current state does not hold this record.");
        await shows(page, "removed");
      }),
  );

  assert.equal(
    (await pipeline.task("etl", "repair", "latest", "--set", "age=41", "--yes")).code,
    0,
  );
  const correction = pipeline.runs()[0]!;

  await t.step(
    "a search by key or field opens a record with its history",
    () =>
      visit(site, "/records", async ({ page }) => {
        await shows(page, "120 records");
        await type(page, "Value", "105");
        await press(page, "Search");
        await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 1);
        await page.select('select:has(option[value="firstName"])', "firstName");
        await type(page, "Value", "Zoe");
        await press(page, "Search");
        await press(page, "4", "link");
        for (
          const text of ["Where its values came from", "skip=0", "changed", "Zoe", "It was never invalid."]
        ) {
          await shows(page, text);
        }
        await page.goto(`${site.base}/record?pipeline=users&key=105`);
        const texts = [
          `line 1 of run ${second.id}: age: 70 is greater than 65`,
          "SHA-256",
          correction.raw_file!,
          "When it was invalid",
          "age",
        ];
        for (const text of texts) await shows(page, text);
        await picture(page, "record_corrected");
        await page.goto(`${site.base}/record?pipeline=users&key=nobody`);
        await shows(page, "No run has held a record with this key.");
      }),
  );

  for (
    const [name, path, en, es] of [
      ["records", "/records?pipeline=users&field=age&is=gt&value=30", "Search", "Buscar"],
      ["record", "/record?pipeline=users&key=105", "History", "Historial"],
    ] as const
  ) {
    await t.step(
      `${name} is accessible in light and dark, fits 360 px, and has both languages`,
      () =>
        visit(site, "/healthz", async ({ page }) => {
          for (const [scheme, width] of [["light", 1280], ["dark", 360]] as const) {
            await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
            await page.setViewport({ width, height: 800 });
            await page.goto(site.base + path);
            await shows(page, en);
            await page.waitForSelector("table");
            await picture(page, `${name}_${scheme}_${width}`);
            assert.deepEqual(await violations(page), [], `${name} ${scheme}`);
            const wide = await page.evaluate(() => document.documentElement.scrollWidth);
            assert.ok(wide <= width, `${name} is ${wide} px wide`);
          }
          await page.setExtraHTTPHeaders({ "accept-language": "es-ES,es;q=0.9" });
          await page.goto(site.base + path);
          await shows(page, es);
          await page.waitForSelector("table");
          await picture(page, `${name}_es`);
        }),
    );
  }

  await t.step("etl why prints the same, for people and for programs", async () => {
    const { stdout, stderr, code } = await pipeline.task("etl", "why", "104");
    assert.equal(code, 0, stderr);
    const raw = second.raw_file!;
    for (
      const part of [
        /^users 104\n\{"id":104,/,
        /page 2 \(skip=100\)/,
        /raw file {2}.*, line 104\n/,
        /sha256 {4}[0-9a-f]{64}\n/,
        /raw line {2}\{"id":104,.*"password":"\*\*\*"/,
        /rules {5}[0-9a-f]{64}, those of today\n/,
        /delivered .*etl_.*verified by content\n/,
        /\nChanges\n.*\n.* added/,
      ]
    ) assert.match(stdout, part);
    assert.ok(!stdout.includes(raw), "the second run changed nothing of it");
    const corrected = await pipeline.task("etl", "why", "105", "--pipeline", "users");
    assert.match(
      corrected.stdout,
      new RegExp(`corrects {2}line 1 of run ${second.id}: age: 70 is greater than 65`),
    );
    assert.match(corrected.stdout, /\nWhen it was invalid\n/);
    const json = JSON.parse((await pipeline.task("etl", "why", "4", "--json")).stdout);
    assert.deepEqual(
      json.changes.nodes.map(({ change }: { change: string }) => change),
      ["ADDED", "CHANGED"],
    );
    assert.deepEqual([json.origin.run.runId, json.origin.raw.line, json.origin.page], [second.run_id, 4, 1]);
    const nobody = await pipeline.task("etl", "why", "nobody");
    assert.equal(nobody.code, 2);
    assert.match(nobody.stderr, /No run has held a record with the key "nobody"/);
  });
});
