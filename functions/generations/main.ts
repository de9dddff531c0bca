import { allOrProblems } from '../shared/all-or-problems.ts';
import type { Arguments } from '../shared/arguments.ts';
import { print, runSubcommand } from '../shared/run-command.ts';
import { type Backup, openBackup } from './backup.ts';
import { listGenerations } from './list.ts';
import { prune } from './prune.ts';
import { runRollback } from './rollback.ts';

const usages = {
  generations: 'usage: generations IMAGE',
  rollback: 'usage: rollback IMAGE DIGEST, or rollback IMAGE --release',
  prune: 'usage: prune [IMAGE…] [--used FILE] [--apply]',
};

const { signal } = new AbortController();

await runSubcommand('generations', {
  generations: {
    usage: usages.generations,
    maxPositionals: 1,
    async run(args) {
      const backup = await open(args, usages.generations, 1);
      const [image = ''] = args.positionals;
      return await listGenerations(backup, image, print, signal);
    },
  },
  rollback: {
    usage: usages.rollback,
    flags: { release: 'boolean' },
    maxPositionals: 2,
    async run(args) {
      const releases = args.switches.has('release');
      const backup = await open(args, usages.rollback, releases ? 1 : 2);
      const [image = '', digest = ''] = args.positionals;
      return await runRollback(backup, image, releases ? 'release' : { digest }, print, signal);
    },
  },
  prune: {
    usage: usages.prune,
    flags: { apply: 'boolean', used: 'string' },
    maxPositionals: Number.POSITIVE_INFINITY,
    async run(args) {
      const { switches, values, positionals: images } = args;
      const options = { images, apply: switches.has('apply'), usedFile: values.get('used') };
      return await prune(await open(args, usages.prune, images.length), options, print, signal);
    },
  },
});

async function open(
  { positionals, problems }: Arguments,
  usage: string,
  count: number,
): Promise<Backup> {
  const extra = positionals
    .slice(count)
    .map((word) => `unexpected argument ${JSON.stringify(word)}`);
  const misused = positionals.length === count ? [] : [...extra, usage];
  const [backup] = await allOrProblems([...problems, ...misused], [openBackup(process.env)]);
  return backup;
}
