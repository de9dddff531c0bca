import { isDeepStrictEqual } from 'node:util';
import * as v from 'valibot';
import type { InstallSettings } from '../../../lib/install/settings.ts';
import { toWebhookConfiguration } from '../../../lib/install/webhook-configuration.ts';
import { toHost } from '../manifests/index.ts';
import type { WebhookConfiguration } from '../objects.ts';
import type { State } from './row.ts';

const looseWebhooks = v.object({ webhooks: v.array(v.record(v.string(), v.unknown())) });

/** Whether the API server calls the webhook, and as the settings ask. `live` is the object as JSON. */
export function describeRegistration(
  registered: WebhookConfiguration | undefined,
  live: unknown,
  install: InstallSettings,
): State {
  if (registered === undefined) {
    return { isGood: false, text: 'not registered, so nothing is copied: just deploy' };
  }
  const [{ failurePolicy, clientConfig }] = registered.webhooks;
  const called = clientConfig.service === undefined ? 'a URL' : toHost(clientConfig.service);
  const changed = findChanged(live, install);
  const text = `registered, failurePolicy ${failurePolicy}, calls ${called}`;
  return changed.length === 0
    ? { isGood: true, text }
    : {
        isGood: false,
        text: `${text}; differs from the settings (${changed.join(', ')}): just deploy`,
      };
}

/** The fields that the settings would set otherwise. The API server adds defaults, but changes nothing. */
function findChanged(live: unknown, install: InstallSettings): readonly string[] {
  const { webhooks } = v.parse(looseWebhooks, live);
  const expected: readonly object[] = toWebhookConfiguration(install, '').webhooks;
  const fields = expected.flatMap((webhook, index) =>
    Object.entries(webhook).flatMap(([field, value]) =>
      isSame(field, value, webhooks[index]?.[field]) ? [] : field,
    ),
  );
  return [...new Set(fields)];
}

function isSame(field: string, expected: unknown, found: unknown): boolean {
  if (field !== 'clientConfig') return isDeepStrictEqual(expected, found);
  return isDeepStrictEqual(withoutCa(expected), withoutCa(found));
}

function withoutCa(clientConfig: unknown): unknown {
  return { ...Object(clientConfig), caBundle: '' };
}
