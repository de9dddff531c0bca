// In the place of tsx, which it loads: an older Node.js would fail in the middle of a test, at the first function that it lacks.
import { readFileSync } from 'node:fs';

const { engines } = JSON.parse(
  readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'),
);
const minimum = engines.node.replace('>=', '');
const [minMajor, minMinor] = minimum.split('.').map(Number);
const { node: version } = process.versions;
const [major, minor] = version.split('.').map(Number);

if (major < minMajor || (major === minMajor && minor < minMinor)) {
  process.stderr.write(
    `Node.js ${version} is too old: ${minimum} or newer is needed; "npm ci" installs one, which npm scripts, just and "npx node" use\n`,
  );
  process.exit(2);
}
await import('tsx-loader');
