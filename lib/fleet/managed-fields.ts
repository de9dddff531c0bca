import * as v from 'valibot';
import type { StoredWorkload } from '../ports/index.ts';

const schema = v.object({
  metadata: v.object({
    managedFields: v.optional(
      v.array(v.object({ manager: v.optional(v.string()), subresource: v.optional(v.string()) })),
      [],
    ),
  }),
});

/** Where in `metadata.managedFields` a manager has its entry. */
export function findManagedFields({ object }: StoredWorkload, manager: string): number | undefined {
  const { metadata } = v.parse(schema, object);
  const index = metadata.managedFields.findIndex(
    (entry) => entry.manager === manager && entry.subresource === undefined,
  );
  return index < 0 ? undefined : index;
}
