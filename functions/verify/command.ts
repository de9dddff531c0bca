import type { Command } from '../shared/command-line/index.ts';
import { jsonOption, settingsOption } from '../shared/options.ts';
import { namespaceOperand } from '../shared/workload-flags.ts';

export const verify: Command = {
  name: 'verify',
  summary: 'would every workload start if all public registries were gone?',
  description:
    'For each workload in opted-in namespaces: is each of its images in the backup, with every part of it, and can it be pulled with the pull secrets that the pod has; and what does the source have now: the same, a moved tag, nothing. Pull secrets are checked where they can be read. Changes nothing, and is safe to interrupt.',
  operands: [namespaceOperand],
  options: {
    'no-sources': { type: 'switch', summary: 'do not ask the sources' },
    rate: {
      type: 'number',
      value: 'N',
      min: 1,
      max: 6_000,
      summary: 'copies to check per minute (default 600)',
    },
    json: jsonOption,
    metrics: {
      type: 'text',
      value: 'FILE',
      summary: 'write the counts for Prometheus, such as into the textfile folder of node-exporter',
    },
    settings: settingsOption,
  },
  exitCodes: {
    0: 'every workload would start',
    1: 'a workload would not start, or could not be checked',
  },
  examples: [
    { command: 'image-cloner verify', explanation: 'all opted-in namespaces' },
    { command: 'image-cloner verify shop', explanation: 'one namespace' },
    {
      command: 'image-cloner verify --json | jq \'.images[] | select(.verdict != "starts")\'',
      explanation: 'what is not good',
    },
  ],
  run: async (args) => (await import('./verify.ts')).verify(args),
};
