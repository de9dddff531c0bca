import { findUnknownVariables } from '../../config/unknown-variables.ts';
import type { Env } from '../../config/values.ts';
import { ConfigError } from '../../errors.ts';
import {
  defaultOf,
  fileVariables,
  isRecorded,
  proxyVariables,
  recordedVariables,
} from './recorded-variables.ts';

type Settings = Readonly<Record<string, string>>;

/** The sources of settings; an earlier one takes precedence. */
export interface SettingLayers {
  readonly env: Env;
  /** The variables of `--settings FILE`. */
  readonly file?: Env;
  /** What is deployed; absent for a new installation. */
  readonly deployed?: Settings;
}

export interface SettingChange {
  readonly name: string;
  /** Absent: the default applied. */
  readonly from?: string;
  /** Absent: the default applies again. */
  readonly to?: string;
}

export interface ResolvedSettings {
  /** The environment with the settings of the file and of the installation, for `parseSettings` and `parseConfig`. */
  readonly env: Env;
  /** Every setting that is recorded, by the name of its variable. */
  readonly settings: Settings;
  /** What is deployed; empty for a new installation. */
  readonly deployed: Settings;
  /** Settings that come from what is deployed. */
  readonly kept: readonly string[];
}

/**
 * Decides the value of each setting. A variable that is not set keeps what is deployed; one that is set and empty has its default
 * again. Throws `ConfigError` with every unknown name of the file.
 */
export function resolveSettings({ env, file = {}, deployed }: SettingLayers): ResolvedSettings {
  const problems = findFileProblems(file);
  if (problems.length > 0) throw new ConfigError(problems);
  const given = new Map([...readProxies(file), ...readGiven(file), ...readGiven(env)]);
  const before = Object.entries(deployed ?? {}).filter(([name]) => isRecorded(name));
  const merged = new Map([...before, ...given]);
  const settings = [...merged].filter(([, value]) => value !== '').toSorted(byName);
  const inherited = new Map(settings);
  return {
    // A proxy of the pods is not one of this machine.
    env: {
      ...env,
      ...pick(file, (name) => !isRecorded(name) && env[name] === undefined),
      ...Object.fromEntries(recordedVariables.map((name) => [name, inherited.get(name)])),
    },
    settings: Object.fromEntries(settings),
    deployed: Object.fromEntries(before),
    kept: before.map(([name]) => name).filter((name) => !given.has(name)),
  };
}

/** The settings that differ, by name. */
export function diffSettings(before: Settings, after: Settings): readonly SettingChange[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].toSorted().flatMap((name) => {
    const [from, to] = [before[name], after[name]];
    if (from === to) return [];
    return [{ name, ...(from !== undefined && { from }), ...(to !== undefined && { to }) }];
  });
}

/** One line for a person, such as `ON_ERROR deny → admit`. */
export function describeChange({ name, from, to }: SettingChange): string {
  const usual = defaultOf(name) || 'not set';
  return `${name} ${from ?? usual} → ${to ?? `${usual} (default)`}`;
}

/** Whether a change takes away what is in force: a setting gets its default again, or a list loses an entry. */
export function isRemoval({ from, to }: SettingChange): boolean {
  if (from === undefined) return false;
  if (to === undefined) return true;
  const left = toItems(to);
  return toItems(from).length > 1 && toItems(from).some((item) => !left.includes(item));
}

function toItems(value: string): readonly string[] {
  return value.split(/[\s,]+/).filter((item) => item !== '');
}

function readGiven(env: Env): readonly (readonly [string, string])[] {
  return recordedVariables.flatMap((name) => {
    const value = env[name];
    return value === undefined ? [] : [[name, value.trim()] as const];
  });
}

function readProxies(file: Env): readonly (readonly [string, string])[] {
  return proxyVariables.flatMap((name) => {
    const value = file[name];
    return value === undefined ? [] : [[name, value.trim()] as const];
  });
}

function findFileProblems(file: Env): readonly string[] {
  const misspelt = findUnknownVariables(file, fileVariables);
  const unknown = Object.keys(file)
    .filter((name) => !fileVariables.includes(name))
    .filter((name) => !misspelt.some((problem) => problem.startsWith(`${name} `)))
    .map((name) => `${name} is not known`);
  const secrets = readProxies(file)
    .filter(([, value]) => value.includes('@'))
    .map(
      ([name]) =>
        `${name} has a password, but settings are recorded in a ConfigMap: put the URL into a Secret and name it in "env" of knative/base/service.yaml (valueFrom.secretKeyRef)`,
    );
  return [...misspelt, ...unknown, ...secrets].map((problem) => `settings file: ${problem}`);
}

function pick(env: Env, isWanted: (name: string) => boolean): Env {
  return Object.fromEntries(Object.entries(env).filter(([name]) => isWanted(name)));
}

function byName([a]: readonly [string, string], [b]: readonly [string, string]): number {
  return a < b ? -1 : 1;
}
