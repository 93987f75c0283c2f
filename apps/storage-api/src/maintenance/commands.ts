/** What is done to a storage beside the service. */
export const COMMANDS = ['scrub', 'gc', 'usage'] as const;

/** See {@link COMMANDS}. */
export type MaintenanceCommand = (typeof COMMANDS)[number];
