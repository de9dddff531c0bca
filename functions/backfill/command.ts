import type { Command } from '../shared/command-line/index.ts';
import { settingsOption, sharedOption } from '../shared/options.ts';
import { findJsonProblems, namespaceOperand, workloadOptions } from '../shared/workload-flags.ts';

export const backfill: Command = {
  name: 'backfill',
  summary: 'copy the images of running workloads',
  description:
    'Lists the workloads in opted-in namespaces and what the backup has of their images. With --apply it copies them and makes the webhook rewrite each workload, one rollout after the other. It is safe to interrupt: the next run continues.',
  operands: [namespaceOperand],
  options: {
    ...workloadOptions,
    refresh: { type: 'switch', summary: 'also ask the sources for moved tags' },
    shared: sharedOption,
    settings: settingsOption,
  },
  exitCodes: { 1: 'an image could not be copied, or a workload not rewritten; the others were' },
  examples: [
    {
      command: 'image-cloner backfill',
      explanation: 'what would change, in all opted-in namespaces',
    },
    {
      command: 'image-cloner backfill --apply --rate 60 shop',
      explanation: 'one namespace, one object a second',
    },
    {
      command: 'image-cloner backfill --refresh --apply',
      explanation: 'follow tags that moved at their source',
    },
  ],
  findProblems: findJsonProblems,
  run: async (args) => (await import('./backfill.ts')).backfill(args),
};
