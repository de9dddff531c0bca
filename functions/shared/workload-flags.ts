import { parseArgs } from 'node:util';

/** What walks through a cluster is told. */
export interface FleetFlags {
  /** Names of namespaces. */
  readonly namespaces: readonly string[];
  readonly apply: boolean;
  readonly refresh: boolean;
  readonly perMinute: number;
  /** Absent: rollouts are not waited for. */
  readonly rolloutTimeoutMs?: number;
  readonly asksForHelp: boolean;
  readonly problems: readonly string[];
}

const defaultPerMinute = 12;
const defaultRolloutSeconds = 600;
const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;

/** Reads the arguments; every problem is told, those that can be read are also where others cannot. */
export function readFleetFlags(
  args: readonly string[],
  { usage, hasRefresh }: { readonly usage: string; readonly hasRefresh: boolean },
): FleetFlags {
  const known = {
    apply: flag,
    'no-wait': flag,
    rate: text,
    'rollout-timeout': text,
    help: { ...flag, short: 'h' },
    ...(hasRefresh && { refresh: flag }),
  };
  const { tokens } = parseArgs({
    args: [...args],
    options: known,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const values = new Map<string, string>();
  const namespaces: string[] = [];
  const problems: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') namespaces.push(token.value);
    else if (token.kind === 'option') {
      const takesValue = token.name === 'rate' || token.name === 'rollout-timeout';
      if (!Object.hasOwn(known, token.name)) problems.push(`there is no flag ${token.rawName}`);
      else if (takesValue === (token.value === undefined)) {
        problems.push(`${token.rawName} ${takesValue ? 'needs a number' : 'takes no value'}`);
      } else values.set(token.name, token.value ?? 'true');
    }
  }
  const number = (name: string, preset: number, most: number): number => {
    const value = values.get(name) ?? String(preset);
    if (/^\d{1,6}$/.test(value) && Number(value) >= 1 && Number(value) <= most) {
      return Number(value);
    }
    problems.push(`--${name} must be a whole number from 1 to ${most}`);
    return preset;
  };
  const perMinute = number('rate', defaultPerMinute, 6_000);
  const seconds = number('rollout-timeout', defaultRolloutSeconds, 86_400);
  problems.push(
    ...namespaces
      .filter((name) => !/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name))
      .map((name) => `${JSON.stringify(name)} is not the name of a namespace`),
  );
  return {
    namespaces: [...new Set(namespaces)],
    apply: values.has('apply'),
    refresh: values.has('refresh'),
    perMinute,
    ...(!values.has('no-wait') && { rolloutTimeoutMs: seconds * 1000 }),
    asksForHelp: values.has('help'),
    problems: problems.length === 0 ? [] : [...problems, usage],
  };
}
