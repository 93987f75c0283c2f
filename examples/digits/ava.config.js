import { REPORTING } from '../../utils/real-parts/src/test-run/observe.ts';

// The tests train for real, on data that they make first.
export default { timeout: '2m', ...REPORTING };
