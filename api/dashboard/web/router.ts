/// <reference lib="dom" />
import { signal } from "@preact/signals";

export const address = signal(new URL(location.href));

/** Navigates to an address of the dashboard. */
export function go(href: string): void {
  history.pushState(null, "", href);
  const before = address.value.pathname;
  address.value = new URL(location.href);
  if (address.value.pathname !== before) scrollTo(0, 0);
}

/** Addresses that the dashboard renders. */
const OURS = /^\/(?:$|runs\/[^/]+(?:\/invalid)?$|dead$|notifications$|sql$|records?$)/;

addEventListener("popstate", () => address.value = new URL(location.href));
addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (link === null || link.target !== "" || link.hasAttribute("download")) return;
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || url.hash !== "" || !OURS.test(url.pathname)) return;
  event.preventDefault();
  go(url.pathname + url.search);
});
