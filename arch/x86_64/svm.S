// svm_enter(vmcb, registers, host_vmcb): see svm.hpp.
//
// With the global interrupt flag clear and RFLAGS.IF set, VMRUN starts the guest and every physical interrupt ends it (V_INTR_MASKING);
// after the exit the flag is still clear, so the host can turn RFLAGS.IF off before it takes anything.
    .section .text.svm_enter, "ax", @progbits
    .globl svm_enter
    .balign 16
svm_enter:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq %rdx
    pushq %rdi
    pushq %rsi
    clgi
    sti
    movq %rdi, %rax
    vmload %rax
    movq 0x08(%rsi), %rcx
    movq 0x10(%rsi), %rdx
    movq 0x18(%rsi), %rbx
    movq 0x28(%rsi), %rbp
    movq 0x38(%rsi), %rdi
    movq 0x40(%rsi), %r8
    movq 0x48(%rsi), %r9
    movq 0x50(%rsi), %r10
    movq 0x58(%rsi), %r11
    movq 0x60(%rsi), %r12
    movq 0x68(%rsi), %r13
    movq 0x70(%rsi), %r14
    movq 0x78(%rsi), %r15
    movq 0x30(%rsi), %rsi
    vmrun %rax
    // RAX and RSP are the host's again: RAX still holds the VMCB's address.
    vmsave %rax
    pushq %rsi
    movq 8(%rsp), %rsi
    movq %rcx, 0x08(%rsi)
    movq %rdx, 0x10(%rsi)
    movq %rbx, 0x18(%rsi)
    movq %rbp, 0x28(%rsi)
    movq %rdi, 0x38(%rsi)
    movq %r8, 0x40(%rsi)
    movq %r9, 0x48(%rsi)
    movq %r10, 0x50(%rsi)
    movq %r11, 0x58(%rsi)
    movq %r12, 0x60(%rsi)
    movq %r13, 0x68(%rsi)
    movq %r14, 0x70(%rsi)
    movq %r15, 0x78(%rsi)
    popq %rcx
    movq %rcx, 0x30(%rsi)
    movq 16(%rsp), %rax
    vmload %rax
    cli
    stgi
    cld
    addq $24, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    // Nothing of the guest's stays where speculation could use it.
    xorl %ecx, %ecx
    xorl %edx, %edx
    xorl %esi, %esi
    xorl %edi, %edi
    xorl %r8d, %r8d
    xorl %r9d, %r9d
    xorl %r10d, %r10d
    xorl %r11d, %r11d
    ret
    .section .note.GNU-stack, "", @progbits
