/* As much of TensorFlow Lite Micro's interface as emit_tflm.py uses, by the names and types of its headers, for a test
 * that has none of TFLite Micro but its Python package. What Invoke computes was computed by that package before:
 * STUB_ANSWERS is a file of inputs, each with its output behind it. */
#ifndef TFLM_STUB_H
#define TFLM_STUB_H

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
enum TfLiteType { kTfLiteNoType = 0, kTfLiteInt8 = 9 };

union TfLitePtrUnion {
    void *data;
    uint8_t *uint8;
    int8_t *int8;
};

struct TfLiteTensor {
    TfLiteType type;
    TfLitePtrUnion data;
    size_t bytes;
};

namespace tflite {

struct Model {
    uint8_t bytes[8];
};

inline const Model *GetModel(const void *buffer)
{
    return static_cast<const Model *>(buffer);
}

inline void InitializeTarget() {}

class MicroOpResolver {
  public:
    unsigned int count = 0;
    char names[256] = "";
};

template <unsigned int tOpCount> class MicroMutableOpResolver : public MicroOpResolver {
  public:
    TfLiteStatus AddAdd() { return add("ADD"); }
    TfLiteStatus AddConv2D() { return add("CONV_2D"); }
    TfLiteStatus AddDepthwiseConv2D() { return add("DEPTHWISE_CONV_2D"); }
    TfLiteStatus AddReshape() { return add("RESHAPE"); }
    TfLiteStatus AddTranspose() { return add("TRANSPOSE"); }

  private:
    TfLiteStatus add(const char *name)
    {
        if (count++ >= tOpCount) {
            return kTfLiteError;
        }
        std::strcat(names, name);
        std::strcat(names, " ");
        return kTfLiteOk;
    }
};

class MicroInterpreter {
  public:
    MicroInterpreter(const Model *model, const MicroOpResolver &op_resolver, uint8_t *tensor_arena,
                     size_t tensor_arena_size)
        : model_(model), resolver_(op_resolver), arena_(tensor_arena), size_(tensor_arena_size)
    {
    }

    TfLiteStatus AllocateTensors()
    {
        const bool aligned = reinterpret_cast<uintptr_t>(arena_) % 16 == 0 && reinterpret_cast<uintptr_t>(model_) % 16 == 0;
        const bool known = std::memcmp(model_->bytes + 4, "TFL3", 4) == 0;
        size_t left = 0; /* bytes in the arena that a verification before this one left there */
        for (size_t i = 0; i < size_; i++) {
            left += arena_[i] != 0;
        }
        if (!aligned || !known || left != 0 || size_ < STUB_ARENA || std::strcmp(resolver_.names, STUB_OPERATORS) != 0) {
            return kTfLiteError;
        }
        input_ = {kTfLiteInt8, {in_}, sizeof in_};
        output_ = {kTfLiteInt8, {out_}, sizeof out_};
        return kTfLiteOk;
    }

    TfLiteStatus Invoke()
    {
        std::memset(arena_, 0xA5, size_);
        uint8_t in[STUB_INPUT];
        std::FILE *const file = std::fopen(STUB_ANSWERS, "rb");
        bool found = false;
        while (!found && std::fread(in, sizeof in, 1, file) == 1 && std::fread(out_, sizeof out_, 1, file) == 1) {
            found = std::memcmp(in, in_, sizeof in) == 0;
        }
        std::fclose(file);
        return found ? kTfLiteOk : kTfLiteError;
    }

    TfLiteTensor *input(size_t index) { return index == 0 ? &input_ : nullptr; }
    TfLiteTensor *output(size_t index) { return index == 0 ? &output_ : nullptr; }
    size_t arena_used_bytes() const { return STUB_ARENA; }

  private:
    const Model *model_;
    const MicroOpResolver &resolver_;
    uint8_t *arena_;
    size_t size_;
    TfLiteTensor input_;
    TfLiteTensor output_;
    uint8_t in_[STUB_INPUT];
    uint8_t out_[STUB_OUTPUT];
};

} // namespace tflite

#endif
