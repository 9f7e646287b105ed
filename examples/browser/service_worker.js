// Keeps the files of this page, so that it opens offline, too.
// files.js sets PAGE_FILES, {path: digest}, and PAGE_VERSION, of all of them.
importScripts("files.js");

// Caches belong to the whole host, which may have other pages.
const prefix = `${self.registration.scope} `;
const name = prefix + PAGE_VERSION;

self.addEventListener("install", (event) => event.waitUntil(keep()));
self.addEventListener("activate", (event) => event.waitUntil(dropOthers()));
self.addEventListener("fetch", (event) => {
  if (event.request.method === "GET") {
    event.respondWith(answer(event.request));
  }
});

async function keep() {
  const cache = await caches.open(name);
  // With digests, all are of one version, or none is kept.
  await cache.addAll(Object.entries(PAGE_FILES).map(([path, integrity]) =>
    new Request(path, { integrity, cache: "no-cache" })));
}

async function dropOthers() {
  const others = (await caches.keys()).filter(
    (x) => x.startsWith(prefix) && x !== name);
  await Promise.all(others.map((x) => caches.delete(x)));
}

// The server first: what is kept here never hides what is there. Nor may what the
// browser keeps by itself, which may be of several versions.
async function answer(request) {
  try {
    return await fetch(request.mode === "navigate"
      ? request : new Request(request, { cache: "no-cache" }));
  } catch (error) {
    const cache = await caches.open(name);
    const kept = await cache.match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
}
