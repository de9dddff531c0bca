import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import * as v from 'valibot';
import {
  type WebhookConfiguration,
  webhookConfiguration,
} from '../../../../functions/deploy/objects.ts';
import { describeCertificate } from '../../../../functions/deploy/status/certificate.ts';
import {
  type CertificateChain,
  createCertificateChain,
} from '../../../../lib/install/certificate.ts';
import { parseSettings } from '../../../../lib/install/settings.ts';
import { toWebhookConfiguration } from '../../../../lib/install/webhook-configuration.ts';

const dayMs = 86_400_000;
const issued = new Date('2026-01-01T00:00:00Z');

function afterDays(days: number): Date {
  return new Date(issued.getTime() + days * dayMs);
}

function trusting(ca: string): WebhookConfiguration {
  return v.parse(webhookConfiguration, toWebhookConfiguration(parseSettings({}), ca));
}

describe('describeCertificate', () => {
  let chain: CertificateChain;
  let other: CertificateChain;

  before(async () => {
    const { hosts } = parseSettings({});
    [chain, other] = await Promise.all([
      createCertificateChain({ hosts, now: issued }),
      createCertificateChain({ hosts, now: issued }),
    ]);
  });

  const cases = [
    { days: 10, isGood: true, text: 'valid for 355 days' },
    { days: 340, isGood: true, text: 'valid for 25 days' },
    {
      days: 350,
      isGood: false,
      text: 'valid for 15 days, not renewed: image-cloner deploy, or kubectl create job --from=cronjob/image-cloner-renewal renew-now',
    },
    {
      days: 370,
      isGood: false,
      text: 'expired 5 days ago, not renewed: image-cloner deploy, or kubectl create job --from=cronjob/image-cloner-renewal renew-now',
    },
  ];
  for (const { days, isGood, text } of cases) {
    it(`shows a certificate after ${days} days as: ${text}`, () => {
      const state = describeCertificate(
        trusting(chain.ca),
        btoa(chain.certificate),
        parseSettings({}),
        afterDays(days),
      );

      assert.deepEqual(state, { isGood, text });
    });
  }

  it('shows a certificate of another CA than the API server trusts', () => {
    const state = describeCertificate(
      trusting(other.ca),
      btoa(chain.certificate),
      parseSettings({}),
      afterDays(10),
    );

    assert.deepEqual(state, {
      isGood: false,
      text: 'valid for 355 days, not from the CA of the webhook configuration: just deploy',
    });
  });

  for (const { what, base64, text } of [
    { what: 'a missing certificate', base64: undefined, text: 'not found: just deploy' },
    { what: 'text that is no certificate', base64: btoa('x'), text: 'not valid: just deploy' },
  ]) {
    it(`shows ${what}`, () => {
      assert.deepEqual(describeCertificate(undefined, base64, parseSettings({}), afterDays(1)), {
        isGood: false,
        text,
      });
    });
  }
});
