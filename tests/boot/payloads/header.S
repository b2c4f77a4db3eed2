// A bzImage header (Linux x86 boot protocol 2.15, Documentation/arch/x86/boot.rst) that offers only the 64-bit entry, the entry itself, and exception stubs.
    .section .setup, "a", @progbits
    .org 0x1f1
    .byte 1                     // setup_sects
    .word 0                     // root_flags
    .long payload_paragraphs    // syssize
    .word 0, 0xffff, 0          // ram_size, vid_mode, root_dev
    .word 0xaa55                // boot_flag
    .byte 0xeb, 0x6a            // jump: its offset tells the header's end
    .ascii "HdrS"
    .word 0x020f                // version
    .long 0
    .word 0, 0
    .byte 0                     // type_of_loader
    .byte 1                     // loadflags: LOADED_HIGH
    .word 0
    .long 0x100000              // code32_start
    .long 0, 0, 0               // ramdisk_image, ramdisk_size, bootsect_kludge
    .word 0
    .byte 0, 0
    .long 0                     // cmd_line_ptr
    .long 0x7fffffff            // initrd_addr_max
    .long 0x200000              // kernel_alignment
    .byte 0                     // relocatable_kernel
    .byte 21                    // min_alignment
    .word 1                     // xloadflags: XLF_KERNEL_64
    .long 2047                  // cmdline_size
    .long 0
    .quad 0
    .long 0, 0
    .quad 0
    .quad payload_base          // pref_address
    .long payload_init_bytes    // init_size
    .long 0
    .long 0

    .section .entry, "ax", @progbits
    .code64
    .globl payload_entry
payload_entry:
    // The 32-bit entry point: nobody offers it, so nobody comes here.
    hlt
    jmp payload_entry
    .org 0x200
    // 64-bit entry: RSI holds the boot parameters, interrupts are off, the first 4 GiB are mapped at their addresses.
    cld
    lea payload_bss_begin(%rip), %rdi
    lea payload_bss_end(%rip), %rcx
    sub %rdi, %rcx
    xor %eax, %eax
    rep stosb
    lea payload_stack_top(%rip), %rsp
    xor %ebp, %ebp
    mov %rsi, %rdi
    call payload_main
1:  hlt
    jmp 1b

    // Every exception lands here with its frame: tell payload_fault, which gives the address to go on at.
    .text
    .globl payload_exception_with_code, payload_exception
payload_exception_with_code:
    add $8, %rsp
payload_exception:
    push %rax
    mov payload_fault_resume(%rip), %rax
    test %rax, %rax
    jz 2f
    incq payload_fault_count(%rip)
    mov %rax, 8(%rsp)
    pop %rax
    iretq
2:  lea payload_unexpected_fault(%rip), %rax
    mov 8(%rsp), %rdi
    and $-16, %rsp
    call *%rax

    // u64 payload_try(void (*function)(void*), void* argument): 1 where the call ended in an exception, which restores this frame.
    .globl payload_try
payload_try:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, payload_fault_stack(%rip)
    lea 3f(%rip), %rax
    mov %rax, payload_fault_resume(%rip)
    mov %rdi, %rax
    mov %rsi, %rdi
    sub $8, %rsp
    call *%rax
    add $8, %rsp
    xor %eax, %eax
    jmp 4f
3:  mov payload_fault_stack(%rip), %rsp
    mov $1, %eax
4:  movq $0, payload_fault_resume(%rip)
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret

    .bss
    .balign 16
    .skip 65536
payload_stack_top:
    .globl payload_fault_resume, payload_fault_count
payload_fault_resume: .quad 0
payload_fault_count: .quad 0
payload_fault_stack: .quad 0
    .section .note.GNU-stack, "", @progbits
