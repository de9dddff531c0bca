import type { Arguments } from './arguments.ts';

/** The flags of the commands that go through the workloads of a cluster. */
export const workloadFlags = {
  apply: 'boolean',
  'no-wait': 'boolean',
  rate: 'string',
  'rollout-timeout': 'string',
} as const;

export interface WorkloadFlags {
  readonly namespaces: readonly string[];
  readonly apply: boolean;
  readonly perMinute: number;
  /** Absent: the command does not wait for rollouts. */
  readonly rolloutTimeoutMs?: number;
  readonly problems: readonly string[];
}

const defaultPerMinute = 12;
const defaultRolloutSeconds = 600;

export function toWorkloadFlags(args: Arguments): WorkloadFlags {
  const { switches, values, positionals } = args;
  const problems: string[] = [];
  const readNumber = (name: string, preset: number, max: number): number => {
    const value = values.get(name) ?? String(preset);
    if (/^\d{1,6}$/.test(value) && Number(value) >= 1 && Number(value) <= max) {
      return Number(value);
    }
    problems.push(`--${name} must be a whole number from 1 to ${max}`);
    return preset;
  };
  const perMinute = readNumber('rate', defaultPerMinute, 6_000);
  const seconds = readNumber('rollout-timeout', defaultRolloutSeconds, 86_400);
  problems.push(
    ...positionals
      .filter((name) => !/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name))
      .map((name) => `${JSON.stringify(name)} is not the name of a namespace`),
  );
  return {
    namespaces: [...new Set(positionals)],
    apply: switches.has('apply'),
    perMinute,
    ...(!switches.has('no-wait') && { rolloutTimeoutMs: seconds * 1000 }),
    problems: [...problems, ...args.problems],
  };
}
