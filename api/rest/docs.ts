/** `/openapi.json` and `/docs`: the description of the REST routes, and Swagger UI without external files. */
import type { ApiApp } from "../http/env.ts";
import { pagePolicy } from "../http/pages.ts";
import { jsonAnswer } from "../json.ts";

/** Files of Swagger UI, as text modules, so that reading them needs no permission. */
const ASSETS = {
  "swagger-ui-bundle.js": {
    type: "text/javascript; charset=utf-8",
    text: () => import("swagger-ui-dist/swagger-ui-bundle.js", { with: { type: "text" } }),
  },
  "swagger-ui.css": {
    type: "text/css; charset=utf-8",
    text: () => import("swagger-ui-dist/swagger-ui.css", { with: { type: "text" } }),
  },
};

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ETL pipeline: REST</title>
<link rel="icon" href="data:,">
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
  for (const [name, { type, text }] of Object.entries(ASSETS)) {
    app.get(`/docs/${name}`, async (c) => {
      const { default: body } = await text();
      return c.body(body, 200, { "content-type": type, "cache-control": "private, max-age=86400" });
    });
  }
}
