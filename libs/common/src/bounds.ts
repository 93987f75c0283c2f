/** The most GPUs that an order may ask for. */
export const MOST_GPUS = 64;

/** The highest priority that an order may have; the lowest is its negative. */
export const MOST_PRIORITY = 10;

/** The longest name that an owner of orders may have, in characters. */
export const MOST_OWNER_CHARACTERS = 100;

/** The most orders that may ever be placed in one group. */
export const MOST_GROUP_ORDERS = 10_000;

/** The name of a group of orders. It stands in paths, so that it is never `.` or `..`. */
export const GROUP_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/** What is told of one that does not fit, after its place. */
export const GROUP_NAME_RULE =
  'should be 1 to 100 letters, digits, dots, hyphens and underscores, the first a letter or a digit';

/** What the owner of orders is called that came without credentials. */
export const ANONYMOUS = 'anonymous';

/** The greatest weight that an owner may have; 1 is the least, and what an owner has where nothing was said. */
export const MOST_WEIGHT = 1000;

/** How many orders one batch may have. */
export const MOST_IN_BATCH = 10_000;

/** How long the parameters of a training may be, in characters of their JSON. */
export const MOST_PARAMETER_CHARACTERS = 65_536;
