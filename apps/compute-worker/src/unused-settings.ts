import { defineSettings, type SettingsOf } from '@morpheo/service/config';
import { z } from 'zod';

const text = z.string().min(1).optional();
const help = 'Understood for the original’s sake and not used: compute-api tells the orchestrator.';

/** Flags of the original worker that ours has no use for: a command line that was written for it still starts. */
export const unusedSettings = defineSettings({
  orchestratorHost: {
    flag: 'orchestrator-host',
    env: 'MORPHEO_WORKER_ORCHESTRATOR_HOST',
    schema: text,
    help,
  },
  orchestratorPort: {
    flag: 'orchestrator-port',
    env: 'MORPHEO_WORKER_ORCHESTRATOR_PORT',
    schema: text,
    help,
  },
  orchestratorUser: {
    flag: 'orchestrator-user',
    env: 'MORPHEO_WORKER_ORCHESTRATOR_USER',
    schema: text,
    help,
  },
  orchestratorPassword: {
    flag: 'orchestrator-password',
    env: 'MORPHEO_WORKER_ORCHESTRATOR_PASSWORD',
    schema: text,
    secret: true,
    help,
  },
});

/** The flags among {@link unusedSettings} that were given. */
export function unusedFlags(config: SettingsOf<typeof unusedSettings>): string[] {
  const names = Object.keys(unusedSettings) as (keyof typeof unusedSettings)[];
  return names.filter((name) => config[name] !== undefined).map((name) => `--${unusedSettings[name].flag}`);
}
