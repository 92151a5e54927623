/**
 * `/openapi.json` and `/docs`: the REST routes described, with Swagger UI served from here alone.
 *
 * @module
 */
import type { ApiApp } from "../app.ts";
import { pagePolicy } from "../http/pages.ts";
import { jsonAnswer } from "../json.ts";

/** Where the installed package lies. */
const swaggerUi = (file: string) => new URL(file, import.meta.resolve("swagger-ui-dist/package.json"));

const ASSETS: Record<string, string> = {
  "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
  "swagger-ui.css": "text/css; charset=utf-8",
  "favicon-32x32.png": "image/png",
};

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ETL pipeline: REST</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/init.js"></script>
</body>
</html>
`;

const INIT =
  `SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger-ui", validatorUrl: null, deepLinking: true });
`;

/** Adds the routes. */
export function addDocs(app: ApiApp): void {
  app.openAPIRegistry.registerComponent("securitySchemes", "token", { type: "http", scheme: "bearer" });
  let document: string | undefined;
  app.get("/openapi.json", () => {
    document ??= JSON.stringify(app.getOpenAPI31Document({
      openapi: "3.1.0",
      info: {
        title: "ETL pipeline",
        version: "0.1.0",
        description: "Runs and records of the pipeline. To steer it, see /graphql.",
      },
      security: [{}, { token: [] }],
    }));
    return jsonAnswer(document);
  });

  const policy = pagePolicy({ script: "'self'", style: "'self'", more: ["img-src 'self' data:"] });
  app.get("/docs", (c) => c.html(PAGE, 200, { "content-security-policy": policy }));
  app.get("/docs/init.js", (c) => c.body(INIT, 200, { "content-type": "text/javascript; charset=utf-8" }));
  for (const [name, type] of Object.entries(ASSETS)) {
    app.get(`/docs/${name}`, async (c) => {
      const bytes = await Deno.readFile(swaggerUi(name));
      return c.body(bytes, 200, { "content-type": type, "cache-control": "private, max-age=86400" });
    });
  }
}
