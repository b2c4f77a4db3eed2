// First instructions of VTL2: a stack, zeroed BSS, vector instructions allowed, and on into C++. State at entry: kernel/spec/vtl2_extension.hpp.
    .section .text.entry, "ax", @progbits

    // Boot processor: RDI holds the address of the boot information.
    .globl paravisor_entry
paravisor_entry:
    cld
    movq $boot_stack_top, %rsp
    movq %rdi, %rbx
    movq $image_bss_begin, %rdi
    movq $image_bss_end, %rcx
    subq %rdi, %rcx
    shrq $3, %rcx
    xorl %eax, %eax
    rep stosq
    movq %rbx, %rdi
    xorl %ebp, %ebp
    call paravisor_main
    ud2

    // Other processors: stack and GS base were given with HvCallStartVirtualProcessor.
    .globl paravisor_secondary_entry
paravisor_secondary_entry:
    cld
    xorl %ebp, %ebp
    call paravisor_secondary_main
    ud2

    .section .note.GNU-stack, "", @progbits
