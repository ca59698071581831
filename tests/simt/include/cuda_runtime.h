// The stand-in for CUDA's own header of this name, found before it: see docs/testing-simt.md.
#pragma once

#include "standin/device_side.h"
#include "standin/runtime.h"
