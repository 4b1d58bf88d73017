import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { defineConfig } from "vite";

// What the page may weigh, all of its files together.
const MOST_BYTES = 1_000_000;
// Whose code comes along with ours.
const LIBRARIES = ["hls.js", "mpegts.js", "es6-promise", "events"];

/** The licences of the libraries, as a file that the page links to. */
const licences = {
  name: "licences",
  generateBundle() {
    const texts = LIBRARIES.map((name) => {
      const folder = new URL(`node_modules/${name}/`, import.meta.url);
      const { version } = JSON.parse(readFileSync(new URL("package.json", folder), "utf8"));
      const licence = readFileSync(new URL("LICENSE", folder), "utf8").trim();
      return `${name} ${version}\n\n${licence}\n`;
    });
    this.emitFile({ type: "asset", name: "licences.txt", source: texts.join("\n\n\n") });
  },
};

/** Takes away what was built before. The folder itself stays, since cargo watches it. */
function clean() {
  for (const name of ["index.html", "index.html.gz", "assets"]) {
    rmSync(new URL(`dist/${name}`, import.meta.url), { recursive: true, force: true });
  }
}

/** The link to that file, whose name is known at the end alone; the same files with gzip; and a look at the scales. */
const finish = {
  name: "finish",
  enforce: "post",
  generateBundle(_, bundle) {
    const licences = Object.keys(bundle).find((name) => name.endsWith(".txt"));
    const html = bundle["index.html"];
    html.source = html.source.replace("/licences.txt", `/${licences}`);
    clean();
  },
  writeBundle({ dir }, bundle) {
    // As they were written: others change what is in the bundle up to then.
    const files = Object.keys(bundle).map((name) => `${dir}/${name}`);
    const sizes = files.map((file) => {
      const bytes = readFileSync(file);
      writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }));
      return bytes.length;
    });
    const total = sizes.reduce((sum, size) => sum + size, 0);
    if (total > MOST_BYTES) {
      this.error(`the page weighs ${total} bytes, more than ${MOST_BYTES}`);
    }
    this.info(`the page weighs ${total} bytes`);
  },
};

export default defineConfig({
  plugins: [licences, finish],
  // The module itself: what `main` names is larger, and for browsers of long ago.
  resolve: { alias: { "hls.js": "hls.js/dist/hls.min.mjs" } },
  build: {
    target: "es2020",
    emptyOutDir: false,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 700,
    modulePreload: { polyfill: false },
    rollupOptions: {
      output: { manualChunks: { hls: ["hls.js"], mpegts: ["mpegts.js"] } },
    },
  },
});
