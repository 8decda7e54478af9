import 'uplot/dist/uPlot.min.css';
import './style.css';
import './frame.css';
import './pages.css';
import { App } from './app';
import { startLang } from './i18n';
import { applyTheme } from './theme';

applyTheme();
startLang();
const root = document.getElementById('app');
if (root) new App(root).start();
