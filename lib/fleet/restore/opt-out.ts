import * as v from 'valibot';
import { escapePointer } from '../../admission/answer/index.ts';
import type { Workload } from '../../admission/workload.ts';
import type { StoredWorkload } from '../../ports/index.ts';
import { descend } from '../stored-workload.ts';

/**
 * Lists the labels that `restore` added, as JSON pointers to what they label: '' for the object. An opt-out of the owner of the object
 * is not among them, and `restore --undo` keeps it.
 */
export const restoredAnnotation = 'image-cloner/restored';

const label = { name: 'image-cloner', value: 'disabled' } as const;
const recordPath = `/metadata/annotations/${escapePointer(restoredAnnotation)}`;
const recordSchema = v.fallback(v.pipe(v.string(), v.parseJson(), v.array(v.string())), []);

/**
 * Returns the operations (RFC 6902) that opt out an object, the templates in it and what is created from them, and that record the added
 * labels. The object has annotations.
 */
export function toOptOutOperations(
  { object }: StoredWorkload,
  workload: Workload,
): readonly object[] {
  const earlier = parseRecord(workload);
  const pointers = listOptOutPointers(workload);
  const missing = pointers.filter((pointer) => !isOptedOut(object, pointer));
  const added = pointers.filter((each) => missing.includes(each) || earlier.includes(each));
  const labels = missing.map((pointer) => toLabelOperation(object, pointer));
  if (added.length === 0) return labels;
  return [...labels, { op: 'add', path: recordPath, value: JSON.stringify(added) }];
}

/** The reverse: removes the recorded labels and the record. */
export function toOptInOperations(
  { object }: StoredWorkload,
  workload: Workload,
): readonly object[] {
  const record = workload.annotations.get(restoredAnnotation);
  return [
    ...listRestoredLabels(object, workload).flatMap((pointer) => {
      const path = toLabelPath(pointer);
      return [
        { op: 'test', path, value: label.value },
        { op: 'remove', path },
      ];
    }),
    { op: 'test', path: recordPath, value: record },
    { op: 'remove', path: recordPath },
  ];
}

/** Whether a label that `restore` did not add opts the object out. */
export function hasOwnOptOut(object: unknown, workload: Workload): boolean {
  const restored = listRestoredLabels(object, workload);
  return ['', toTemplatePointer(workload)].some(
    (pointer) => isOptedOut(object, pointer) && !restored.includes(pointer),
  );
}

/** The annotation is anybody's to write, so a pointer counts only where `restore` adds labels. */
function listRestoredLabels(object: unknown, workload: Workload): readonly string[] {
  const recorded = parseRecord(workload);
  return listOptOutPointers(workload).filter(
    (pointer) => recorded.includes(pointer) && isOptedOut(object, pointer),
  );
}

function parseRecord({ annotations }: Workload): readonly string[] {
  return v.parse(recordSchema, annotations.get(restoredAnnotation) ?? '[]');
}

/** The object, the Jobs of a CronJob, and the pods. */
function listOptOutPointers(workload: Workload): readonly string[] {
  const template = toTemplatePointer(workload);
  const jobTemplate = '/spec/jobTemplate';
  return ['', ...(template.startsWith(`${jobTemplate}/`) ? [jobTemplate] : []), template];
}

function toTemplatePointer({ podSpec }: Workload): string {
  return podSpec.replace(/\/spec$/, '');
}

function isOptedOut(object: unknown, pointer: string): boolean {
  return descend(object, toLabelPath(pointer)) === label.value;
}

function toLabelPath(pointer: string): string {
  return `${pointer}/metadata/labels/${label.name}`;
}

function toLabelOperation(object: unknown, pointer: string): object {
  const path = `${pointer}/metadata`;
  const labels = { [label.name]: label.value };
  const metadata = descend(object, path);
  if (metadata === undefined) return { op: 'add', path, value: { labels } };
  return descend(metadata, '/labels') === undefined
    ? { op: 'add', path: `${path}/labels`, value: labels }
    : { op: 'add', path: `${path}/labels/${label.name}`, value: label.value };
}
