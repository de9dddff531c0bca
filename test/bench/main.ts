import { parseArgs } from 'node:util';
import { type Bench, startBench } from './bench.ts';
import { benchBurst } from './families/burst.ts';
import { benchCopies } from './families/copies.ts';
import { benchDuringCopies } from './families/during-copies.ts';
import { benchHotReviews } from './families/hot-reviews.ts';
import { benchLoopback } from './families/loopback.ts';
import { benchMemory } from './families/memory.ts';
import { benchPlatforms } from './families/platforms.ts';
import { benchReviews } from './families/reviews.ts';
import { benchSharedBase } from './families/shared-base.ts';
import { benchStart } from './families/start.ts';
import { traceCopies } from './families/trace.ts';
import { report } from './figures.ts';

/**
 * Ratios of programs that run alternately on one machine; not a test. Needs what test:real needs, for its registries:
 *
 *     npm run bench -- --only copies,reviews --rounds 3
 */
const families: Readonly<Record<string, (bench: Bench) => Promise<void>>> = {
  copies: benchCopies,
  platforms: benchPlatforms,
  'shared-base': benchSharedBase,
  burst: benchBurst,
  reviews: benchReviews,
  'during-copies': benchDuringCopies,
  loopback: benchLoopback,
  memory: benchMemory,
  'hot-reviews': benchHotReviews,
  start: benchStart,
  trace: traceCopies,
};

const { values } = parseArgs({
  options: {
    // `trace` is long, and for reading.
    only: {
      type: 'string',
      default: Object.keys(families)
        .filter((name) => name !== 'trace')
        .join(','),
    },
    rounds: { type: 'string', default: '5' },
    mebibytes: { type: 'string', default: '256' },
  },
});
const names = values.only.split(',');
const wrong = names.filter((name) => !Object.hasOwn(families, name));

if (wrong.length > 0) {
  const known = Object.keys(families).join(', ');
  process.stderr.write(`--only does not know ${wrong.join(', ')}; it knows ${known}\n`);
  process.exitCode = 2;
} else {
  const bench = await startBench({
    rounds: Number(values.rounds),
    mebibytes: Number(values.mebibytes),
  });
  for (const name of bench.peers.missing) report(`without ${name}, which is not in PATH`);
  try {
    for (const name of names) {
      report(`\n${name}`);
      await families[name]?.(bench);
    }
  } finally {
    await bench.stop();
  }
}
