import type { Command } from '../shared/command-line/index.ts';
import { findJsonProblems, namespaceOperand, workloadOptions } from '../shared/workload-flags.ts';

export const restore: Command = {
  name: 'restore',
  summary: 'put the original images back',
  description:
    "Lists the workloads that use images of the backup. With --apply it puts their original images back and labels them, and a CronJob's Jobs, with image-cloner: disabled.",
  operands: [namespaceOperand],
  options: workloadOptions,
  exitCodes: { 1: 'a workload could not be restored; the others were' },
  examples: [
    { command: 'image-cloner restore', explanation: 'what would change, in all namespaces' },
    { command: 'image-cloner restore --apply shop', explanation: 'take one namespace out' },
  ],
  findProblems: findJsonProblems,
  run: async (args) => (await import('./restore.ts')).restore(args),
};
