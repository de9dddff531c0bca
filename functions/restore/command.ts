import type { Command } from '../shared/command-line/index.ts';
import { findJsonProblems, namespaceOperand, workloadOptions } from '../shared/workload-flags.ts';

export const restore: Command = {
  name: 'restore',
  summary: 'put the original images back',
  description:
    'Lists the workloads that use copies. With --apply it puts their original images back and labels them, and the templates in them, with image-cloner: disabled. It goes by the annotation of each workload, so it needs neither the webhook, nor a registry, nor any variable.',
  operands: [namespaceOperand],
  options: {
    ...workloadOptions,
    undo: {
      type: 'switch',
      summary: 'remove these labels, so that the webhook rewrites the workloads again',
    },
  },
  exitCodes: { 1: 'a workload could not be restored; the others were' },
  examples: [
    { command: 'image-cloner restore', explanation: 'what would change, in all namespaces' },
    { command: 'image-cloner restore --apply shop', explanation: 'take one namespace out' },
    { command: 'image-cloner restore --undo --apply shop', explanation: 'take it in again' },
  ],
  findProblems: findJsonProblems,
  run: async (args) => (await import('./restore.ts')).restore(args),
};
