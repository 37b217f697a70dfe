// Bundle index.js into the Python package, with the versions and licenses of what is in it.
import { readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const target = new URL("../../src/flopwise/reports/html/vendor/", import.meta.url);

const { metafile } = await build({
  entryPoints: ["index.js"],
  bundle: true,
  minify: true,
  format: "iife",
  globalName: "d3",
  target: "es2019",
  legalComments: "none",
  metafile: true,
  outfile: new URL("d3.min.js", target).pathname,
});

const paths = Object.keys(metafile.inputs).filter((path) => path.startsWith("node_modules/"));
const names = [...new Set(paths.map((path) => path.split("/")[1]))].sort();
const packages = names.map((name) => {
  const { version, license } = JSON.parse(readFileSync(`node_modules/${name}/package.json`));
  return {
    title: `${name} ${version} (${license})`,
    text: readFileSync(`node_modules/${name}/LICENSE`, "utf8"),
  };
});

const file = new URL("d3.min.js", target);
const banner = `/* ${packages.map((p) => p.title).join(", ")}; licenses in d3.LICENSE */\n`;
writeFileSync(file, banner + readFileSync(file, "utf8"));
const licenses = packages.map((p) => `${p.title}\n\n${p.text.trim()}\n`);
writeFileSync(new URL("d3.LICENSE", target), licenses.join(`\n${"-".repeat(78)}\n\n`));
