import { PageRouter } from '../../src/lib/pageRouter.svelte';
import { addressOf, pageFromPath, type OfficePage } from './addresses';

export const router = new PageRouter<OfficePage>({ pageFromPath, addressOf });
