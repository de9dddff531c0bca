import * as v from 'valibot';
import { CloneError } from '../errors.ts';
import { clouds } from '../image/cloud-registry.ts';
import { type ImagePattern, parseImagePattern } from '../image/pattern.ts';
import { type Platforms, parsePlatforms } from '../image/platforms.ts';
import { isPath } from '../image/reference.ts';
import { isNamespace, isRegistry, normalizeHost, splitRegistry } from './backup-registry.ts';

/** The environment of a process. */
export type Env = Readonly<Record<string, string | undefined>>;

type Schemas = Readonly<Record<string, v.GenericSchema>>;

/** Returns the variables of `schemas` that are set. An empty variable counts as not set. */
export function pickVariables(env: Env, schemas: Schemas): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.keys(schemas).flatMap((name) => {
      const value = env[name];
      return value === undefined || value.trim() === '' ? [] : [[name, value]];
    }),
  );
}

/** Returns the names of the variables and their defaults. */
export function listVariables(
  schemas: Schemas,
): readonly { readonly name: string; readonly default?: string }[] {
  return Object.entries(schemas).map(([name, schema]) => {
    const value: unknown = v.getDefault(schema);
    return { name, ...(typeof value === 'string' && { default: value }) };
  });
}

/** Returns one sentence for each invalid variable. */
export function toProblems(issues: readonly v.BaseIssue<unknown>[] = []): readonly string[] {
  return issues.map((issue) => `${v.getDotPath(issue) ?? ''} ${issue.message}`);
}

// One schema per type of variable: text in, a value or a problem out.

export const text = v.pipe(v.string(), v.trim());

export const flag = v.pipe(
  text,
  v.picklist(['true', 'false'], 'must be true or false'),
  v.transform((value) => value === 'true'),
);

export function oneOf<const Options extends readonly string[]>(
  options: Options,
): v.GenericSchema<string, Options[number]> {
  const choices = [options.slice(0, -1).join(', '), options.at(-1)].join(' or ');
  return v.pipe(text, v.picklist(options, `must be ${choices}`));
}

export function wholeNumber(min: number, max: number): v.GenericSchema<string, number> {
  const message = `must be a whole number from ${min} to ${max}`;
  return v.pipe(
    text,
    v.regex(/^\d{1,16}$/, message),
    v.transform(Number),
    v.minValue(min, message),
    v.maxValue(max, message),
  );
}

/** Items between commas, spaces or line breaks. */
export const list = v.pipe(
  text,
  v.transform((value) => value.split(/[\s,]+/).filter((item) => item !== '')),
);

export const registry = v.pipe(
  text,
  v.check(
    (value) => !value.includes('://'),
    'must be a host without a scheme, such as registry.example.com',
  ),
  v.transform(splitRegistry),
  v.check(
    ({ domain, path }) => isRegistry(domain) && (path === '' || isPath(path)),
    'must be a registry host, such as registry.example.com:5000',
  ),
);

export const namespace = v.pipe(
  text,
  v.check(
    isNamespace,
    'must be a lower-case repository path, such as backups, of at most 128 characters',
  ),
);

export const hosts = v.pipe(
  list,
  v.check(
    (items) => items.every(isRegistry),
    'must list registry hosts, separated by commas or spaces, such as docker.io,quay.io',
  ),
  v.transform((items) => items.map(normalizeHost)),
);

/** `registry.example.com` or `registry.example.com/backups`. */
export const formerBackups = v.pipe(
  list,
  v.transform((items) => items.map(splitRegistry)),
  v.check(
    (items) =>
      items.every(({ domain, path }) => isRegistry(domain) && (path === '' || isPath(path))),
    'must list registries with their namespace, such as registry.example.com/backups, separated by commas or spaces',
  ),
  v.transform((items) =>
    items.map(({ domain, path }) => ({ domain, ...(path !== '' && { namespace: path }) })),
  ),
);

export const imagePatterns = v.pipe(
  list,
  v.rawTransform<string[], readonly ImagePattern[]>(({ dataset, addIssue, NEVER }) => {
    try {
      return dataset.value.map(parseImagePattern);
    } catch (error) {
      if (!(error instanceof CloneError)) throw error;
      addIssue({ message: `has an invalid entry: ${error.message}` });
      return NEVER;
    }
  }),
);

export const platforms = v.pipe(
  list,
  v.rawTransform<string[], Platforms>(({ dataset, addIssue, NEVER }) => {
    const parsed = parsePlatforms(dataset.value);
    if (parsed !== undefined) return parsed;
    addIssue({
      message:
        'must be all, or list os/architecture or os/architecture/variant, such as linux/amd64,linux/arm64/v8',
    });
    return NEVER;
  }),
);

const overridable = ['ON_ERROR', 'ON_DEADLINE'] as const;

export const overrides = v.pipe(
  list,
  v.check(
    (items) => items.every((item) => overridable.some((name) => name === item)),
    'must list ON_ERROR, ON_DEADLINE or both, separated by commas or spaces',
  ),
  v.transform((items) => overridable.filter((name) => items.includes(name))),
);

export const cloudList = v.pipe(
  list,
  v.check(
    (items) => items.every((item) => clouds.some((cloud) => cloud === item)),
    'must list ecr, gar or acr, separated by commas or spaces',
  ),
  v.transform((items) => clouds.filter((cloud) => items.includes(cloud))),
);

export const owners = v.pipe(
  list,
  v.check(
    (items) => items.every((item) => item === '*' || /^[a-z0-9.-]*\/[A-Z][A-Za-z0-9]*$/.test(item)),
    'must be * or a list of group/Kind, such as apps/ReplicaSet,argoproj.io/Rollout',
  ),
);

export const dockerHost = v.pipe(
  text,
  v.check(
    (value) =>
      /^(unix:\/\/\/.+|tcp:\/\/[^/@?#]+|https?:\/\/[^/@?#]+)$/.test(value) &&
      URL.canParse(value) &&
      // A client decodes the path, so an invalid escape would fail later.
      !/%(?![0-9a-f]{2})/i.test(value),
    'must be unix:///path/to/docker.sock or tcp://host:port',
  ),
);

export const objectName = v.pipe(
  text,
  v.regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, 'must be the name of a Secret'),
);

export const clusterId = v.pipe(
  text,
  v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'must be a name of letters, digits, ., _ and -'),
);
