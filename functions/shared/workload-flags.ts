import type { Arguments, Operand, Option } from './command-line/index.ts';
import { jsonOption } from './options.ts';

/** The options of the commands that go through the workloads of a cluster. */
export const workloadOptions = {
  apply: { type: 'switch', summary: 'change the workloads; without it, only list them' },
  rate: {
    type: 'number',
    value: 'N',
    min: 1,
    max: 6_000,
    summary: 'objects to change per minute (default 12)',
  },
  'rollout-timeout': {
    type: 'number',
    value: 'SECONDS',
    min: 1,
    max: 86_400,
    summary: 'how long to wait for each rollout (default 600)',
  },
  'no-wait': { type: 'switch', summary: 'do not wait for rollouts' },
  json: jsonOption,
} as const satisfies Readonly<Record<string, Option>>;

export const namespaceOperand: Operand = {
  name: 'NAMESPACE',
  summary: 'only these; without any, all that apply',
  isOptional: true,
  isRepeated: true,
};

export interface WorkloadFlags {
  readonly namespaces: readonly string[];
  readonly apply: boolean;
  readonly json: boolean;
  readonly perMinute: number;
  /** Absent: the command does not wait for rollouts. */
  readonly rolloutTimeoutMs?: number;
  readonly problems: readonly string[];
}

const defaultPerMinute = 12;
const defaultRolloutSeconds = 600;

export function toWorkloadFlags(args: Arguments): WorkloadFlags {
  const { switches, values, positionals } = args;
  const perMinute = Number(values.get('rate') ?? defaultPerMinute);
  const seconds = Number(values.get('rollout-timeout') ?? defaultRolloutSeconds);
  const problems = positionals
    .filter((name) => !/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name))
    .map((name) => `${JSON.stringify(name)} is not the name of a namespace`);
  return {
    namespaces: [...new Set(positionals)],
    apply: switches.has('apply'),
    json: switches.has('json'),
    perMinute,
    ...(!switches.has('no-wait') && { rolloutTimeoutMs: seconds * 1000 }),
    problems: [...problems, ...args.problems],
  };
}

/** The command line that changes what the same one without `--apply` lists. */
export function toApplyCommand(name: string, { switches, positionals }: Arguments): string {
  const flags = ['apply', ...[...switches].filter((flag) => flag !== 'json')];
  return ['image-cloner', name, ...flags.map((flag) => `--${flag}`), ...positionals].join(' ');
}

/** What `--apply` prints is a record of what happened, line by line. */
export function findJsonProblems({ switches }: Arguments): readonly string[] {
  return switches.has('json') && switches.has('apply')
    ? ['--json lists, and --apply does not']
    : [];
}
