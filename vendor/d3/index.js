export { axisBottom, axisLeft } from "d3-axis";
export { hierarchy, partition } from "d3-hierarchy";
export { scaleLog } from "d3-scale";
export { select } from "d3-selection";
