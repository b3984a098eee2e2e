#pragma once
// The lean part of LibTorch that nearly every torch translation unit needs; torch/torch.h would cost five times as
// much.
#include <torch/nn/module.h>
#include <torch/types.h>
