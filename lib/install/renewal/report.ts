import * as v from 'valibot';
import { annotation } from './secret-fields.ts';

/** What the last renewal found. It stays as it is while runs find the same. */
export interface RenewalReport {
  /** `failed`: an operator must look. */
  readonly state: 'good' | 'waiting' | 'failed';
  readonly text: string;
  /** When a run found this first. */
  readonly since: Date;
}

const schema = v.pipe(
  v.string(),
  v.parseJson(),
  v.object({
    state: v.picklist(['good', 'waiting', 'failed']),
    text: v.string(),
    since: v.pipe(
      v.string(),
      v.isoTimestamp(),
      v.transform((text) => new Date(text)),
    ),
  }),
);

type Annotations = Readonly<Record<string, string>>;

/** Reads the report from the annotations of the Secret; `undefined` if no renewal has run. */
export function readReport(annotations: Annotations): RenewalReport | undefined {
  const result = v.safeParse(schema, annotations[annotation.report]);
  return result.success ? result.output : undefined;
}

/** The annotations with this report; `undefined` if they have it already. */
export function withReport(
  annotations: Annotations,
  { state, text, since }: RenewalReport,
): Annotations | undefined {
  const last = readReport(annotations);
  if (last?.state === state && last.text === text) return undefined;
  const report = JSON.stringify({ state, text, since: since.toISOString() });
  return { ...annotations, [annotation.report]: report };
}
