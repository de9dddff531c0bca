import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as v from 'valibot';
import { webhookConfiguration } from '../../../../functions/deploy/objects.ts';
import { describeRegistration } from '../../../../functions/deploy/status/registration.ts';
import { parseSettings } from '../../../../lib/install/settings.ts';
import { toWebhookConfiguration } from '../../../../lib/install/webhook-configuration.ts';

const live = toWebhookConfiguration(parseSettings({}), 'the CA');
const registered = v.parse(webhookConfiguration, live);

describe('describeRegistration', () => {
  it('reports a webhook that the settings describe', () => {
    assert.deepEqual(describeRegistration(registered, live, parseSettings({})), {
      isGood: true,
      text: 'registered, failurePolicy Fail, calls image-cloner.kourier-system.svc',
    });
  });

  it('names the fields that the settings would set otherwise', () => {
    const install = parseSettings({ WORKLOADS: 'pods', TIMEOUT_SECONDS: '5', WIRING: 'direct' });

    const { isGood, text } = describeRegistration(registered, live, install);

    assert.equal(isGood, false);
    assert.match(
      text,
      /; differs from the settings \(name, timeoutSeconds, rules, clientConfig\): just deploy$/,
    );
  });

  it('says that nothing is copied if the webhook is not registered', () => {
    assert.deepEqual(describeRegistration(undefined, undefined, parseSettings({})), {
      isGood: false,
      text: 'not registered, so nothing is copied: just deploy',
    });
  });
});
