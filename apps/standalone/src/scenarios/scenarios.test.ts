import { startPlatform } from '../platform.ts';
import { testScenarios } from './conformance.ts';

testScenarios({ start: startPlatform, wallMs: 8000 });
